// A plug-in's own code in a child process, where nothing that it does ends or stops this one.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "model/registry.h"

namespace tenon::model {

/// What is said of a trial that fails: "WHO did not finish WORK within 10 s: look for an endless loop in WHERE", "WHO
/// crashed (Aborted) WHILE".
struct TrialWords {
  std::string who, work, where, during;
};

/// What `attempt` returns in a child process that may take ten seconds; an error if it crashes there, ends the process
/// or takes longer.
Result<std::string> try_in_child(const std::function<std::string()>& attempt, const TrialWords& words);

/// Before `attempt` is done here, if `entry` is a plug-in's: does it in a child process. Only a crash or an endless
/// loop is an error: whatever else is wrong is found again here.
Status try_plugin(const RegistryEntry& entry, const std::function<void()>& attempt);

}  // namespace tenon::model
