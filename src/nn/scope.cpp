#include "nn/scope.h"

#include <algorithm>

namespace tenon::nn {

Scope Scope::operator/(std::string_view child) const {
  return Scope(*graph_, name_.empty() ? std::string(child) : name_ + "." + std::string(child));
}

Value Scope::weight(std::string_view tensor, std::vector<Dim> shape, WeightUse use) const {
  const std::string name = (*this / tensor).name_;
  // Two modules of one name are a slip: the tensor of the second would go unused, or the model would compute nonsense.
  for (const auto& request : graph_->weights()) {
    if (request.name != name || std::ranges::find(request.uses, use) == request.uses.end()) continue;
    throw graph::GraphError("weight " + name +
                            " is asked for twice: give each module its own name, and make one that is shared once");
  }
  return graph_->weight(name, std::move(shape), use);
}

Value Scope::tap(Value value) const {
  graph_->tap(name_, value);
  return value;
}

}  // namespace tenon::nn
