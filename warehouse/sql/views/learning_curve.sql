-- One row per fitted network and pass over its training rows: mean squared errors, in variances of the target, on the
-- rows trained on and on the last dates, which decide when to stop.
create or replace view analyst.learning_curve as
select c.model_version, c.model_name, v.as_of_date, c.epoch, c.training_loss, c.validation_loss
from model.learning_curve as c
join model.model_version as v using (model_version)
