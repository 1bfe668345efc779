"""What both engines and both forms of a network must agree on."""

BATCH_NORMALIZATION_MOMENTUM = 0.9
"""Keras's 0.99 needs hundreds of steps before its averages are worth anything; small data have twenty an epoch."""
BATCH_NORMALIZATION_EPSILON = 1e-3
"""Keras's."""

INPUT_NOISE, DROPOUT, ACTIVATION_NOISE, WEIGHT_NOISE, GRADIENT_NOISE = 2, 4, 1 << 12, 1 << 13, 1 << 14
"""Where each kind's numbers for the counter hash begin, whether or not a network has it: so that a run draws the same
in an engine whose program holds parts that this run has no use for. Each layer or array takes two of them, for a normal
number needs two hashes."""

NOISE_DECAY = 0.275
"""The deviation of gradient noise falls as (1 + step) to the power of minus this (Neelakantan et al. 2015, where the
variance falls with 0.55)."""
MAX_NORM_EPSILON = 1e-7
"""Keras's."""
CENTERED_EPSILON = 1e-12
"""Added to a direction's squared norm, so that units of equal weights have a slope of zero instead of none."""
