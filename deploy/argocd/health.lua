-- Health of a MicroAppRollout for Argo CD. Without it Argo CD takes every rollout for fine; an error in it would read as
-- Unknown, its worst state, so nothing here trusts a field to be there.
local hs = { status = "Progressing", message = "Waiting for the operator" }
if obj.status == nil or obj.status.observedGeneration == nil then
  return hs
end

-- A verdict on the last spec would fail the sync that brings its correction.
if tonumber(obj.status.observedGeneration) ~= tonumber(obj.metadata.generation) then
  hs.message = "The change of the spec is not yet observed"
  return hs
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end
local function is_true(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end
local function message(kind, default)
  local condition = conditions[kind] or {}
  if condition.message ~= nil and condition.message ~= "" then
    return condition.message
  end
  return condition.reason or default
end

if is_true("Stalled") then
  hs.status = "Degraded"
  hs.message = (conditions.Stalled.reason or "Stalled") .. ": " .. (conditions.Stalled.message or "")
elseif is_true("Paused") then
  hs.status = "Suspended"
  hs.message = message("Paused", "Paused")
elseif is_true("Reconciling") then
  hs.message = message("Reconciling", "Reconciling")
elseif is_true("Ready") then
  hs.status = "Healthy"
  hs.message = message("Ready", "")
elseif conditions.Ready ~= nil then
  hs.message = message("Ready", "Not ready")
end
return hs
