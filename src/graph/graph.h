// The graph: values and the ops that make them, recorded while a model class builds its equations. Recording is
// separate from running: the interpreter (interpreter.h) runs it slowly and obviously, the compiler makes it fast.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tensor/dtype.h"

namespace tenon::graph {

using tensor::DType;

/// A dimension: a number, or a name of tensor::dims that is known when a batch is run.
class Dim {
 public:
  Dim(std::int64_t size) : size_(size) {}            // NOLINT: a number is a Dim
  Dim(std::string name) : name_(std::move(name)) {}  // NOLINT: and so is a name
  Dim(const char* name) : name_(name) {}             // NOLINT
  bool symbolic() const { return !name_.empty(); }
  std::int64_t size() const { return size_; }        ///< of a number
  const std::string& name() const { return name_; }  ///< of a symbol
  bool operator==(const Dim&) const = default;

 private:
  std::int64_t size_ = 0;
  std::string name_;
};

std::string to_string(const Dim& dim);

struct Type {
  DType dtype = DType::kF32;
  std::vector<Dim> dims;
  bool operator==(const Type&) const = default;
};

std::string to_string(const Type& type);  ///< "f32[total_tokens, 2048]"

/// What goes wrong while a graph is built: a shape that contradicts another, an attribute out of range. Caught once, in
/// loader/, and shown to the user; says which op, in which module, with which shapes.
class GraphError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Graph;

/// A value of a graph: cheap to copy. Operators record ops.
class Value {
 public:
  Value() = default;
  Value(Graph* graph, int id) : graph_(graph), id_(id) {}
  explicit operator bool() const { return graph_ != nullptr; }
  Graph& graph() const { return *graph_; }
  int id() const { return id_; }
  const Type& type() const;
  const Dim& dim(int i) const;  ///< negative counts from the end
  int rank() const { return static_cast<int>(type().dims.size()); }

 private:
  Graph* graph_ = nullptr;
  int id_ = -1;
};

Value operator+(Value a, Value b);
Value operator*(Value a, Value b);
Value operator*(Value a, double s);

using Attribute = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

struct Op;  // ops/op.h: shape rule, scalar reference, decomposition

struct Node {
  const Op* op = nullptr;
  std::vector<int> inputs;   ///< value ids
  std::vector<int> outputs;  ///< value ids
  Attributes attributes;
  std::string scope;  ///< the module that recorded it, "model.layers.0.mlp"
};

/// Where a value that no node makes comes from.
enum class Source : std::uint8_t { kNode, kInput, kWeight, kConstant };

struct ValueInfo {
  Type type;
  Source source = Source::kNode;
  int node = -1;                ///< the node that makes it
  std::string name;             ///< of an input or a weight
  std::vector<float> constant;  ///< of a constant
};

/// How a weight is used, which decides how it is stored.
enum class WeightUse : std::uint8_t {
  kMatmul,     ///< [out, in], packed in kernel order in the encoding that it has
  kEmbedding,  ///< [vocab, hidden], rows looked up, kept as it lies in the file
  kVector,     ///< small, widened to float32
};

class Graph {
 public:
  Graph() = default;
  Graph(Graph&&) = delete;  // Values point at their graph.

  Value input(std::string name, Type type);
  /// A tensor of the checkpoint, by our name. Asking twice for one name gives the same value (tied weights).
  Value weight(const std::string& name, std::vector<Dim> shape, WeightUse use);
  Value constant(std::vector<float> data, std::vector<Dim> shape);

  /// Records an op after its shape rule has checked the inputs; GraphError otherwise.
  std::vector<Value> record(const Op& op, const std::vector<Value>& inputs, Attributes attributes = {});
  Value record1(const Op& op, const std::vector<Value>& inputs, Attributes attributes = {});

  /// Marks a value as the model's result ("logits").
  void output(std::string name, Value value);
  /// Names an intermediate value for verify; costs nothing unless compiled with taps.
  void tap(std::string name, Value value);

  /// The scope that record() notes: the whole name of the module on top of the stack, "model.layers.0.mlp".
  void push_scope(std::string scope) { scopes_.push_back(std::move(scope)); }
  void pop_scope() { scopes_.pop_back(); }

  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<ValueInfo>& values() const { return values_; }
  const ValueInfo& info(int value) const { return values_[static_cast<std::size_t>(value)]; }
  const std::vector<std::pair<std::string, int>>& outputs() const { return outputs_; }
  const std::vector<std::pair<std::string, int>>& taps() const { return taps_; }

  struct WeightRequest {
    std::string name;
    Type type;  ///< dtype is not known before binding
    std::vector<WeightUse> uses;
    int value;
  };
  const std::vector<WeightRequest>& weights() const { return weights_; }

 private:
  std::vector<Node> nodes_;
  std::vector<ValueInfo> values_;
  std::vector<WeightRequest> weights_;
  std::vector<std::pair<std::string, int>> outputs_, taps_;
  std::vector<std::string> scopes_;
};

/// The text IR: one node a line. Golden tests of the passes compare it.
std::string to_text(const Graph& graph);

}  // namespace tenon::graph
