//! kubectl microapp: status, why, commands, replay.
