// What values options may have, in the words of the user; checked before anything is loaded.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace tenon::cli {

inline constexpr std::uint64_t kAnyInt = std::numeric_limits<int>::max();

/// "must be a whole number of at least 1, not 0". No option has a negative one.
CLI::Validator whole_number(std::uint64_t min, std::uint64_t max = kAnyInt);
/// "must be a number from 0 to 2, not 3".
CLI::Validator number(double min, double max = std::numeric_limits<double>::infinity());
/// "must be auto or none, not x".
CLI::Validator one_of(std::vector<std::string> names);
/// The same for an enum, which gets the number.
CLI::Validator one_of_enum(std::map<std::string, int> values);
/// An amount of memory, as parse_bytes reads it.
CLI::Validator bytes();
CLI::Validator not_empty();
/// Text that a model can read: valid UTF-8.
CLI::Validator utf8();

}  // namespace tenon::cli
