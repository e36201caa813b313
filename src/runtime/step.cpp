#include "runtime/step.h"

namespace tenon::runtime {

std::string arrow(std::initializer_list<std::int64_t> shape, const Place& from, const Place& to) {
  return shape_text(shape).append(" ").append(to_string(from)).append(" -> ").append(to_string(to));
}

std::string to_string(const Place& place) {
  return std::string(1, '@').append(std::to_string(place.offset)).append("+").append(std::to_string(place.stride));
}

std::string shape_text(std::initializer_list<std::int64_t> shape) {
  std::string text(1, '[');
  for (std::int64_t size : shape) text.append(text.size() > 1 ? ", " : "").append(std::to_string(size));
  return text.append("]");
}

}  // namespace tenon::runtime
