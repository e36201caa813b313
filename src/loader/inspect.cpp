// The text of `tenon inspect`.
#include <sstream>

#include "base/memory.h"
#include "loader/prepare.h"

namespace tenon::loader {
namespace {

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

void write_embedding(std::ostream& out, const Embedding& embedding) {
  static constexpr const char* kModes[] = {"mean", "first token", "last token"};
  out << "embeds: " << kModes[static_cast<std::size_t>(embedding.pooling.mode)] << " of the hidden states"
      << (embedding.pooling.normalize ? ", normalised" : "") << (embedding.matryoshka ? ", may be cut" : "") << "\n";
}

void write_config(std::ostream& out, const model::ModelConfig& config) {
  out << "\n== config (* marks what the file does not say: the default of transformers)\n";
  for (const model::ConfigField& field : config.fields) {
    std::string value = field.value->dump(-1, ' ', false, Json::error_handler_t::replace);
    if (value.size() > 100) value = value.substr(0, 97) + "...";
    out << (field.defaulted ? "* " : "  ") << field.name << " = " << value << "\n";
  }
  for (const std::string& note : config.notes) out << "note: " << note << "\n";
}

void write_weights(std::ostream& out, const PreparedModel& prepared) {
  out << "\n== weights\n";
  if (prepared.checkpoint == nullptr) {
    out << "there are none; the graph asks for " << prepared.graph->weights().size() << " tensors\n";
    return;
  }
  const model::WeightMap& map = prepared.weights;
  out << map.bindings.size() << " tensors used, " << map.ignored.size() << " ignored, " << map.gaps.size()
      << " problems; " << map.parameters << " parameters; encoding " << prepared.encoding.name
      << (prepared.has_data ? "" : " (names and shapes only, from tensors.json)") << "\n";
  for (const std::string& gap : map.gaps) out << "problem: " << gap << "\n";
  for (const std::string& name : map.ignored) out << "ignored: " << name << "\n";
  for (const auto& [name, binding] : map.bindings) {
    out << "  " << name << " " << tensor::name(binding.tensor->dtype) << tensor::to_string(binding.tensor->shape);
    const tensor::DType held = binding.held();
    if (held != binding.tensor->dtype) out << " as " << tensor::name(held);
    if (binding.file_name != name) out << " <- " << binding.file_name;
    if (!binding.experts.empty()) out << " … " << binding.experts.back().file_name;
    out << "\n";
  }
}

Status write_plan(std::ostream& out, const PreparedModel& prepared, const LoadOptions& options) {
  CheckpointWeights weights(prepared.checkpoint, prepared.weights);
  TENON_ASSIGN(const compiler::Explanation plan,
               compiler::explain(*prepared.graph, weights, prepared.compile_options(options)));
  out << "\n== graph as the architecture builds it\n"
      << plan.graph_before << "\n== graph after the passes\n"
      << plan.graph_after;
  out << "\n== passes\n";
  for (const compiler::PassReport& pass : plan.passes) {
    out << "  " << pass.name << ": " << pass.nodes_before << " -> " << pass.nodes_after << " ops, "
        << pass.seconds * 1e3 << " ms" << (pass.disabled ? " (disabled)" : "") << "\n";
  }
  out << "\n== plan\n" << plan.plan;
  out << "\n== memory\n  weights " << megabytes(plan.weight_bytes) << "\n  arena " << megabytes(plan.arena_bytes)
      << "\n  KV cache " << megabytes(prepared.kv_layout.page_bytes()) << " for each page of " << tensor::kPageTokens
      << " tokens, "
      << megabytes(prepared.kv_layout.page_bytes() *
                   ((prepared.max_length + tensor::kPageTokens - 1) / tensor::kPageTokens))
      << " for one sequence of " << prepared.max_length << "\n  available "
      << megabytes(static_cast<std::int64_t>(available_memory())) << "\n";
  return {};
}

}  // namespace

Result<Inspection> inspect(const LoadOptions& options) {
  TENON_ASSIGN(const PreparedModel prepared, prepare(options, /*strict=*/false));
  std::ostringstream out;
  out << "model " << prepared.name << "\narchitecture " << prepared.entry.architecture->name << " (family "
      << prepared.entry.family << ")\ncontext " << prepared.max_length << " of at most "
      << prepared.config->max_length_limit << " tokens\nchat template "
      << (prepared.text.chat_template.empty() ? "none" : "yes") << "\nend of text ids";
  for (const std::int32_t id : prepared.text.eos_token_ids) out << " " << id;
  out << "\n";
  if (prepared.embedding) write_embedding(out, *prepared.embedding);
  write_config(out, *prepared.config);
  write_weights(out, prepared);
  // A plan of wrong weights would explain nothing.
  if (prepared.checkpoint != nullptr && prepared.weights.gaps.empty()) {
    TENON_TRY(write_plan(out, prepared, options));
  } else {
    out << "\n== graph as the architecture builds it\n" << graph::to_text(*prepared.graph);
  }
  return Inspection{out.str(), prepared.weights.gaps};
}

}  // namespace tenon::loader
