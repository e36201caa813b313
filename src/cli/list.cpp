#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/cli.h"

namespace tenon::cli {
namespace {

std::string joined(const Json& list) {
  std::string out;
  for (const Json& item : list) out += (out.empty() ? "" : ", ") + item.get<std::string>();
  return out;
}

void print_list(bool json) {
  const Json rows = loader::list_architectures();
  if (json) {
    std::printf("%s\n", rows.dump(2).c_str());
    return;
  }
  for (const Json& row : rows) {
    std::printf("%s\n  family:     %s\n  task:       %s\n  encodings:  %s\n  modalities: %s\n  examples:   %s\n",
                row.at("name").get<std::string>().c_str(), row.at("family").get<std::string>().c_str(),
                row.at("task").get<std::string>().c_str(), joined(row.at("encodings")).c_str(),
                joined(row.at("modalities")).c_str(), joined(row.at("example_repos")).c_str());
  }
}

struct InspectOptions {
  ModelOptions model;
};

Status run_inspect(const loader::LoadOptions& options) {
  TENON_ASSIGN(const loader::Inspection inspected, loader::inspect(options));
  std::fputs(inspected.text.c_str(), stdout);
  std::fflush(stdout);
  const std::size_t count = inspected.problems.size();
  if (count == 0) return {};
  // Said last, too: the text goes on with the graph.
  return invalid("the tensors of " + options.model + " do not fit the architecture: " + inspected.problems[0] +
                 (count == 1 ? "" : " (the first of " + std::to_string(count) + " problems)"));
}

}  // namespace

void add_list(CLI::App& app, Status& result) {
  auto json = std::make_shared<bool>(false);
  auto custom = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("list", "Every registered architecture");
  command->add_flag("--json", *json, "As JSON");
  add_custom_architectures(*command, *custom);
  command->callback([json, custom, &result] {
    result = loader::load_custom_architectures(*custom);
    if (result) print_list(*json);
  });
}

void add_inspect(CLI::App& app, Status& result) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      app.add_subcommand("inspect", "Config, weight map, graph, plan and memory of a model; nothing is executed");
  add_model_options(*command, options->model);
  add_task(*command, options->model);
  command->callback([options, &result] {
    auto& limits = options->model.load.limits;
    limits.max_rows = limits.max_sampled_rows = options->model.max_batch_size;
    limits.max_total_tokens = options->model.max_batch_tokens;
    result = run_inspect(options->model.load);
  });
}

}  // namespace tenon::cli
