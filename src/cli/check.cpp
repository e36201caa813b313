#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/cli.h"
#include "verify/conformance/conformance.h"

namespace tenon::cli {
namespace {

Status run_check(const verify::CheckOptions& options) {
  TENON_ASSIGN(const verify::CheckReport report, verify::check(options));
  std::fputs(verify::to_text(report).c_str(), stdout);
  if (!options.keep.empty()) std::printf("the tiny checkpoint is in %s\n", options.keep.c_str());
  std::fflush(stdout);
  if (report.passed()) return {};
  return invalid(std::string(report.entry.architecture->name) + " does not do what every architecture must do");
}

}  // namespace

void add_check(CLI::App& app, Status& result) {
  auto options = std::make_shared<verify::CheckOptions>();
  CLI::App* command = app.add_subcommand(
      "check", "What every architecture must do, on a tiny model with random weights. Exit status 0: it does");
  command
      ->add_option("architecture", options->architecture,
                   "A folder or .so of your own, or the class or family of a registered one")
      ->required();
  command->add_option("--config", options->config,
                      "config.json of a tiny model; default: tiny/config.json in the folder");
  command->add_option("--keep", options->keep, "An empty or new directory for the tiny random checkpoint");
  command->callback([options, &result] { result = run_check(*options); });
}

}  // namespace tenon::cli
