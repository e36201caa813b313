#include "verify/verify.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/cli.h"

namespace tenon::cli {
namespace {

struct Options {
  ModelOptions model;
  std::string reference;
  bool json = false;
};

Status run_verify(const Options& options) {
  const int threads = options.model.threads > 0 ? options.model.threads : ThreadPool::default_threads();
  TENON_ASSIGN(const verify::Report report,
               verify::verify({.load = options.model.load, .reference = options.reference, .threads = threads}));
  const std::string text = options.json
                               ? verify::to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                               : verify::to_text(report);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (report.agrees) return {};
  return invalid(options.model.load.model + " diverges from " + options.reference);
}

}  // namespace

void add_verify(CLI::App& app, Status& result) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "verify", "A model beside a reference dump: which layer diverges first, and why. Exit status 0: it agrees");
  add_model_options(*command, options->model);
  command->add_option("--reference", options->reference, "Dump of tools/make_reference.py")->required();
  command->add_flag("--json", options->json, "The report as JSON");
  command->callback([options, &result] { result = run_verify(*options); });
}

}  // namespace tenon::cli
