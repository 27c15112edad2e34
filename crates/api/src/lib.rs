//! The MicroAppRollout custom resource: types, schema, labels, condition reasons.
