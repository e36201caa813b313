// Pooling as the files of sentence-transformers beside a checkpoint say it.
#pragma once

#include <string>

#include "base/result.h"
#include "runtime/pooling.h"

namespace tenon::loader {

/// Reads DIRECTORY/modules.json and the config.json of its Pooling module. Without modules.json: the mean, not
/// normalised, which is what sentence-transformers makes of a bare checkpoint. Modules other than Transformer, Pooling
/// and Normalize, several poolings at once, and modes other than mean, cls and last token are refused by name.
Result<runtime::Pooling> read_pooling(const std::string& directory);

}  // namespace tenon::loader
