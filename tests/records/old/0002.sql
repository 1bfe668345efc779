BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE hpo_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT hpo_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "hpo_alembic_version" VALUES('0002');
CREATE TABLE hpo_artifact (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	uri TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_hpo_artifact PRIMARY KEY (id), 
	CONSTRAINT fk_hpo_artifact_study_id FOREIGN KEY(study_id) REFERENCES hpo_study (id) ON DELETE CASCADE
);
INSERT INTO "hpo_artifact" VALUES(1,1,'kind 1','uri 1','sha256 1',1,'2026-01-02 03:04:05.600001');
INSERT INTO "hpo_artifact" VALUES(2,2,'kind 2','uri 2','sha256 2',2,'2026-01-02 03:04:05.600002');
CREATE TABLE hpo_check (
	stage_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	status VARCHAR(32) NOT NULL, 
	expected TEXT NOT NULL, 
	seen TEXT NOT NULL, 
	sentence TEXT NOT NULL, 
	CONSTRAINT pk_hpo_check PRIMARY KEY (stage_id, position), 
	CONSTRAINT fk_hpo_check_stage_id FOREIGN KEY(stage_id) REFERENCES hpo_stage (id) ON DELETE CASCADE
);
INSERT INTO "hpo_check" VALUES(1,1,'name 1','status 1','expected 1','seen 1','sentence 1');
INSERT INTO "hpo_check" VALUES(2,2,'name 2','status 2','expected 2','seen 2','sentence 2');
CREATE TABLE hpo_epoch (
	run_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	training_loss DOUBLE, 
	validation_loss DOUBLE, 
	training_metric DOUBLE, 
	validation_metric DOUBLE, 
	learning_rate DOUBLE, 
	gradient_norm DOUBLE, 
	CONSTRAINT pk_hpo_epoch PRIMARY KEY (run_id, epoch), 
	CONSTRAINT fk_hpo_epoch_run_id FOREIGN KEY(run_id) REFERENCES hpo_run (id) ON DELETE CASCADE
);
INSERT INTO "hpo_epoch" VALUES(1,1,1.25,1.25,1.25,1.25,1.25,1.25);
INSERT INTO "hpo_epoch" VALUES(2,2,2.25,2.25,2.25,2.25,2.25,2.25);
CREATE TABLE hpo_figure (
	stage_id INTEGER NOT NULL, 
	name VARCHAR(190) NOT NULL, 
	value DOUBLE, 
	CONSTRAINT pk_hpo_figure PRIMARY KEY (stage_id, name), 
	CONSTRAINT fk_hpo_figure_stage_id FOREIGN KEY(stage_id) REFERENCES hpo_stage (id) ON DELETE CASCADE
);
INSERT INTO "hpo_figure" VALUES(1,'name 1',1.25);
INSERT INTO "hpo_figure" VALUES(2,'name 2',2.25);
CREATE TABLE hpo_layer_health (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	layer VARCHAR(128) NOT NULL, 
	weight_norm DOUBLE, 
	update_ratio DOUBLE, 
	gradient_norm DOUBLE, 
	activation_mean DOUBLE, 
	activation_deviation DOUBLE, 
	dead_share DOUBLE, 
	saturated_share DOUBLE, 
	CONSTRAINT pk_hpo_layer_health PRIMARY KEY (id), 
	CONSTRAINT fk_hpo_layer_health_run_id FOREIGN KEY(run_id) REFERENCES hpo_run (id) ON DELETE CASCADE, 
	CONSTRAINT uq_hpo_layer_health_run_id_epoch_layer UNIQUE (run_id, epoch, layer)
);
INSERT INTO "hpo_layer_health" VALUES(1,1,1,'layer 1',1.25,1.25,1.25,1.25,1.25,1.25,1.25);
INSERT INTO "hpo_layer_health" VALUES(2,2,2,'layer 2',2.25,2.25,2.25,2.25,2.25,2.25,2.25);
CREATE TABLE hpo_opening (
	id INTEGER NOT NULL, 
	study_id INTEGER, 
	study_name VARCHAR(190) NOT NULL, 
	data_fingerprint VARCHAR(64) NOT NULL, 
	frozen_hash VARCHAR(64) NOT NULL, 
	look INTEGER NOT NULL, 
	opened_at DATETIME NOT NULL, 
	CONSTRAINT pk_hpo_opening PRIMARY KEY (id), 
	CONSTRAINT fk_hpo_opening_study_id FOREIGN KEY(study_id) REFERENCES hpo_study (id) ON DELETE SET NULL, 
	CONSTRAINT uq_hpo_opening_data_fingerprint_look UNIQUE (data_fingerprint, look), 
	CONSTRAINT uq_hpo_opening_study_id UNIQUE (study_id)
);
INSERT INTO "hpo_opening" VALUES(1,1,'study_name 1','data_fingerprint 1','frozen_hash 1',1,'2026-01-02 03:04:05.600001');
INSERT INTO "hpo_opening" VALUES(2,2,'study_name 2','data_fingerprint 2','frozen_hash 2',2,'2026-01-02 03:04:05.600002');
CREATE TABLE hpo_param (
	trial_id INTEGER NOT NULL, 
	name VARCHAR(190) NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	value_number DOUBLE, 
	value_text TEXT, 
	varied BOOLEAN NOT NULL, 
	CONSTRAINT pk_hpo_param PRIMARY KEY (trial_id, name), 
	CONSTRAINT fk_hpo_param_trial_id FOREIGN KEY(trial_id) REFERENCES hpo_trial (id) ON DELETE CASCADE
);
INSERT INTO "hpo_param" VALUES(1,'name 1','float',1.25,'value_text 1',1);
INSERT INTO "hpo_param" VALUES(2,'name 2','float',2.25,'value_text 2',0);
CREATE TABLE hpo_run (
	id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	fold INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	purpose VARCHAR(32) NOT NULL, 
	epochs INTEGER NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	worker_id VARCHAR(190), 
	lease_until DATETIME, 
	tries INTEGER NOT NULL, 
	epochs_trained INTEGER, 
	best_epoch INTEGER, 
	training_loss DOUBLE, 
	validation_loss DOUBLE, 
	training_metric DOUBLE, 
	validation_metric DOUBLE, 
	parameters BIGINT, 
	seconds DOUBLE, 
	engine VARCHAR(32), 
	device VARCHAR(128), 
	artifact_id INTEGER, 
	error TEXT, 
	finished_at DATETIME, engine_reason TEXT, slots INTEGER, 
	CONSTRAINT pk_hpo_run PRIMARY KEY (id), 
	CONSTRAINT fk_hpo_run_artifact_id FOREIGN KEY(artifact_id) REFERENCES hpo_artifact (id) ON DELETE SET NULL, 
	CONSTRAINT fk_hpo_run_trial_id FOREIGN KEY(trial_id) REFERENCES hpo_trial (id) ON DELETE CASCADE, 
	CONSTRAINT uq_hpo_run_request UNIQUE (trial_id, purpose, fold, seed, epochs)
);
INSERT INTO "hpo_run" VALUES(1,1,1,1,'search',1,'done','id 1','2026-01-02 03:04:05.600001',1,1,1,1.25,1.25,1.25,1.25,1,1.25,'engine 1','device 1',1,'error 1','2026-01-02 03:04:05.600001','engine_reason 1',1);
INSERT INTO "hpo_run" VALUES(2,2,2,2,'search',2,'done','id 1','2026-01-02 03:04:05.600002',2,2,2,2.25,2.25,2.25,2.25,2,2.25,'engine 2','device 2',2,'error 2','2026-01-02 03:04:05.600002','engine_reason 2',2);
CREATE TABLE hpo_score (
	opening_id INTEGER NOT NULL, 
	model VARCHAR(32) NOT NULL, 
	metric VARCHAR(32) NOT NULL, 
	value DOUBLE, 
	low DOUBLE, 
	high DOUBLE, 
	rows INTEGER NOT NULL, 
	CONSTRAINT pk_hpo_score PRIMARY KEY (opening_id, model, metric), 
	CONSTRAINT fk_hpo_score_opening_id FOREIGN KEY(opening_id) REFERENCES hpo_opening (id) ON DELETE CASCADE
);
INSERT INTO "hpo_score" VALUES(1,'model 1','metric 1',1.25,1.25,1.25,1);
INSERT INTO "hpo_score" VALUES(2,'model 2','metric 2',2.25,2.25,2.25,2);
CREATE TABLE hpo_stage (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	name VARCHAR(32) NOT NULL, 
	attempt INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	optuna_study VARCHAR(255), 
	objective VARCHAR(64), 
	direction VARCHAR(32), 
	trials_planned INTEGER NOT NULL, 
	space TEXT, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_hpo_stage PRIMARY KEY (id), 
	CONSTRAINT fk_hpo_stage_study_id FOREIGN KEY(study_id) REFERENCES hpo_study (id) ON DELETE CASCADE, 
	CONSTRAINT uq_hpo_stage_study_id_name_attempt UNIQUE (study_id, name, attempt)
);
INSERT INTO "hpo_stage" VALUES(1,1,'name 1',1,1,'done','fingerprint 1','kept/tune','objective 1','maximize',1,NULL,'2026-01-02 03:04:05.600001','2026-01-02 03:04:05.600001');
INSERT INTO "hpo_stage" VALUES(2,2,'name 2',2,2,'done','fingerprint 2','kept/tune','objective 2','maximize',2,NULL,'2026-01-02 03:04:05.600002','2026-01-02 03:04:05.600002');
CREATE TABLE hpo_study (
	id INTEGER NOT NULL, 
	name VARCHAR(190) NOT NULL, 
	spec TEXT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	seed BIGINT NOT NULL, 
	task VARCHAR(32), 
	metric VARCHAR(32), 
	direction VARCHAR(32), 
	data_source TEXT, 
	data_fingerprint VARCHAR(64), 
	state VARCHAR(32) NOT NULL, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	leader_worker_id VARCHAR(190), 
	leader_until DATETIME, 
	CONSTRAINT pk_hpo_study PRIMARY KEY (id), 
	CONSTRAINT uq_hpo_study_name UNIQUE (name)
);
INSERT INTO "hpo_study" VALUES(1,'name 1','{}','fingerprint 1',1,'task 1','metric 1','maximize','data_source 1','data_fingerprint 1','finished','2026-01-02 03:04:05.600001','2026-01-02 03:04:05.600001','2026-01-02 03:04:05.600001',NULL,'2026-01-02 03:04:05.600001');
INSERT INTO "hpo_study" VALUES(2,'name 2','{}','fingerprint 2',2,'task 2','metric 2','maximize','data_source 2','data_fingerprint 2','finished','2026-01-02 03:04:05.600002','2026-01-02 03:04:05.600002','2026-01-02 03:04:05.600002',NULL,'2026-01-02 03:04:05.600002');
CREATE TABLE hpo_trial (
	id INTEGER NOT NULL, 
	stage_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	origin VARCHAR(32) NOT NULL, 
	value DOUBLE, 
	value_tag VARCHAR(8), 
	training_loss DOUBLE, 
	validation_loss DOUBLE, 
	training_metric DOUBLE, 
	validation_metric DOUBLE, 
	gap DOUBLE, 
	parameters BIGINT, 
	structure VARCHAR(64) NOT NULL, 
	diagnosis VARCHAR(32), 
	diagnosis_sentence TEXT, 
	diagnosis_evidence TEXT, 
	seconds DOUBLE, 
	optuna_trial_id INTEGER, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_hpo_trial PRIMARY KEY (id), 
	CONSTRAINT fk_hpo_trial_stage_id FOREIGN KEY(stage_id) REFERENCES hpo_stage (id) ON DELETE CASCADE, 
	CONSTRAINT uq_hpo_trial_stage_id_number UNIQUE (stage_id, number)
);
INSERT INTO "hpo_trial" VALUES(1,1,1,'complete','sampler',1.25,'finite',1.25,1.25,1.25,1.25,1.25,1,'structure 1','healthy','diagnosis_sentence 1','{}',1.25,1,'2026-01-02 03:04:05.600001','2026-01-02 03:04:05.600001');
INSERT INTO "hpo_trial" VALUES(2,2,2,'complete','sampler',2.25,'finite',2.25,2.25,2.25,2.25,2.25,2,'structure 2','healthy','diagnosis_sentence 2','{}',2.25,2,'2026-01-02 03:04:05.600002','2026-01-02 03:04:05.600002');
CREATE TABLE hpo_verdict (
	stage_id INTEGER NOT NULL, 
	decision VARCHAR(64) NOT NULL, 
	sentence TEXT NOT NULL, 
	hands_on TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_hpo_verdict PRIMARY KEY (stage_id), 
	CONSTRAINT fk_hpo_verdict_stage_id FOREIGN KEY(stage_id) REFERENCES hpo_stage (id) ON DELETE CASCADE
);
INSERT INTO "hpo_verdict" VALUES(1,'go on','sentence 1','{}','2026-01-02 03:04:05.600001');
INSERT INTO "hpo_verdict" VALUES(2,'go on','sentence 2','{}','2026-01-02 03:04:05.600002');
CREATE TABLE hpo_worker (
	id VARCHAR(190) NOT NULL, 
	study_id INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	place VARCHAR(64) NOT NULL, 
	pid INTEGER NOT NULL, 
	process_started VARCHAR(32) NOT NULL, 
	started_at DATETIME NOT NULL, 
	seen_at DATETIME NOT NULL, 
	gone_at DATETIME, renewals INTEGER DEFAULT '0' NOT NULL, memory BIGINT, 
	CONSTRAINT pk_hpo_worker PRIMARY KEY (id), 
	CONSTRAINT fk_hpo_worker_study_id FOREIGN KEY(study_id) REFERENCES hpo_study (id) ON DELETE CASCADE
);
INSERT INTO "hpo_worker" VALUES('id 1',1,'kind 1','host 1','place 1',1,'process_started 1','2026-01-02 03:04:05.600001','2026-01-02 03:04:05.600001','2026-01-02 03:04:05.600001',1,1);
INSERT INTO "hpo_worker" VALUES('id 2',2,'kind 2','host 2','place 2',2,'process_started 2','2026-01-02 03:04:05.600002','2026-01-02 03:04:05.600002','2026-01-02 03:04:05.600002',2,2);
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'kept/tune');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'next','2');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'verdict','"go on"');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,4,0.375,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,2,4,0.4375,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'learning_rate',2.41785492145280313247e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'activation',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO "trial_params" VALUES(3,2,'learning_rate',7.77736146908433398101e-05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(4,2,'activation',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'who','"sampler"');
INSERT INTO "trial_system_attributes" VALUES(2,2,'who','"sampler"');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'units','8');
INSERT INTO "trial_user_attributes" VALUES(2,2,'units','8');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.75,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,0.875,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-22 02:31:14.504174','2026-11-22 02:31:14.533777');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-22 02:31:14.538666','2026-11-22 02:31:14.557134');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE INDEX ix_hpo_artifact_study_id ON hpo_artifact (study_id);
CREATE INDEX ix_hpo_worker_study_id ON hpo_worker (study_id);
CREATE INDEX ix_hpo_run_artifact_id ON hpo_run (artifact_id);
CREATE INDEX ix_hpo_run_state_id ON hpo_run (state, id);
CREATE INDEX ix_hpo_trial_stage_id_state ON hpo_trial (stage_id, state);
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
