#include "nn/scope.h"

namespace tenon::nn {

Scope Scope::operator/(std::string_view child) const {
  return Scope(*graph_, name_.empty() ? std::string(child) : name_ + "." + std::string(child));
}

Value Scope::weight(std::string_view tensor, std::vector<Dim> shape, WeightUse use) const {
  return graph_->weight((*this / tensor).name_, std::move(shape), use);
}

Value Scope::tap(Value value) const {
  graph_->tap(name_, value);
  return value;
}

}  // namespace tenon::nn
