#include "cli/validators.h"

#include <simdjson.h>

#include <charconv>
#include <cmath>

#include "cli/cli.h"

namespace tenon::cli {
namespace {

std::string shown(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

// "at least 1", or "from 1 to 9" where there is an end that users may come to.
std::string range(const std::string& min, const std::string& max) {
  return max.empty() ? "of at least " + min : "from " + min + " to " + max;
}

template <class Number>
bool read(const std::string& text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// "a, b or c".
std::string alternatives(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

std::string not_this(const std::string& text) { return text.empty() ? ", not empty" : ", not " + text; }

}  // namespace

CLI::Validator whole_number(std::uint64_t min, std::uint64_t max) {
  // The largest values of the types are no bounds that anybody means; a number beyond them is shown them all the same.
  const bool open = max >= kAnyInt;
  const std::string limits = range(std::to_string(min), open ? "" : std::to_string(max));
  const auto check = [=](std::string& text) -> std::string {
    std::uint64_t value = 0;
    const bool is_number = read(text, value);
    if (is_number && value >= min && value <= max) return "";
    const bool too_large = open && !text.empty() && text.find_first_not_of("0123456789") == std::string::npos &&
                           (!is_number || value > max);
    return "must be a whole number " + (too_large ? range(std::to_string(min), std::to_string(max)) : limits) +
           not_this(text);
  };
  return {check, open ? ">= " + std::to_string(min) : std::to_string(min) + " … " + std::to_string(max)};
}

CLI::Validator number(double min, double max) {
  const std::string limits = range(shown(min), std::isinf(max) ? "" : shown(max));
  const auto check = [=](std::string& text) -> std::string {
    double value = 0;
    if (read(text, value) && std::isfinite(value) && value >= min && value <= max) return "";
    return "must be a number " + limits + not_this(text);
  };
  return {check, std::isinf(max) ? ">= " + shown(min) : shown(min) + " … " + shown(max)};
}

CLI::Validator one_of(std::vector<std::string> names) {
  const std::string known = alternatives(names);
  const auto check = [known, names = std::move(names)](std::string& text) -> std::string {
    for (const std::string& name : names) {
      if (name == text) return "";
    }
    return "must be " + known + not_this(text);
  };
  return {check, ""};
}

CLI::Validator one_of_enum(std::map<std::string, int> values) {
  std::vector<std::string> names;
  for (const auto& [name, value] : values) names.push_back(name);
  const std::string known = alternatives(names);
  const auto check = [known, values = std::move(values)](std::string& text) -> std::string {
    const auto found = values.find(text);
    if (found == values.end()) return "must be " + known + not_this(text);
    text = std::to_string(found->second);
    return "";
  };
  return {check, ""};
}

CLI::Validator bytes() {
  const auto check = [](std::string& text) -> std::string {
    const auto amount = parse_bytes(text);
    return amount ? "" : amount.error().message;
  };
  return {check, ""};
}

CLI::Validator not_empty() {
  const auto check = [](std::string& text) -> std::string { return text.empty() ? "must not be empty" : ""; };
  return {check, ""};
}

CLI::Validator utf8() {
  const auto check = [](std::string& text) -> std::string {
    return simdjson::validate_utf8(text.data(), text.size()) ? "" : "must be valid UTF-8";
  };
  return {check, ""};
}

}  // namespace tenon::cli
