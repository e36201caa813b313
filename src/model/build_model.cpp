#include "model/build_model.h"

#include <string>
#include <utility>
#include <vector>

#include "graph/ops/op.h"
#include "graph/ops/registry.h"
#include "model/thrown.h"

namespace tenon::model {
namespace {

Status check_output(const graph::Graph& graph, Task task, const std::string& name) {
  const std::string wanted = task == Task::kEmbedding ? "hidden_states" : "logits";
  if (graph.outputs().size() == 1 && graph.outputs().front().first == wanted) return {};
  return invalid("the graph of " + name + " must have one output, \"" + wanted + "\": call context.graph.output(\"" +
                 wanted + "\", …) once in build()");
}

Status check_kv_layers(const graph::Graph& graph, std::size_t layers, const std::string& name) {
  const auto of_layer = [](std::size_t layer) { return " layer " + std::to_string(layer) + " of the KV cache"; };
  std::vector<const graph::Node*> writers(layers);
  for (const graph::Node& node : graph.nodes()) {
    if (node.op != &graph::kKvAppend && node.op != &graph::kStateAppend) continue;
    const auto layer = static_cast<std::size_t>(graph::integer(node.attributes, "layer"));
    if (layer >= layers) {
      return invalid("the graph of " + name + " writes" + of_layer(layer) + " in " + node.scope +
                     ", but kv_parameters() has " + std::to_string(layers));
    }
    if (writers[layer] != nullptr) {
      return invalid("the graph of " + name + " writes" + of_layer(layer) + " twice, in " + writers[layer]->scope +
                     " and in " + node.scope + ": each needs a layer of its own");
    }
    writers[layer] = &node;
  }
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (writers[layer] != nullptr) continue;
    return invalid("the graph of " + name + " never writes" + of_layer(layer) + ", of which kv_parameters() has " +
                   std::to_string(layers));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<PipelineModel>> build_model(const Architecture& architecture,
                                                   std::shared_ptr<const ModelConfig> config, int max_length, Task task,
                                                   graph::Graph& graph, tensor::KvLayout& kv_layout) {
  const std::string name(architecture.name);
  std::unique_ptr<PipelineModel> model;
  try {
    model = architecture.make_model(std::move(config));
    if (model == nullptr) return invalid("make_model of the architecture " + name + " returned null");
    kv_layout.layers = model->kv_parameters();
    model->build({graph, kv_layout, max_length, task});
  } catch (const graph::GraphError& error) {
    return invalid("the graph of " + name + " cannot be built: " + error.what());
  } catch (...) {
    return thrown_by(architecture);
  }
  TENON_TRY(check_output(graph, task, name));
  TENON_TRY(check_kv_layers(graph, kv_layout.layers.size(), name));
  return model;
}

}  // namespace tenon::model
