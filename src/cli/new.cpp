#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/cli.h"
#include "scaffold/scaffold.h"

namespace tenon::cli {

void add_new(CLI::App& app, Status& result) {
  auto options = std::make_shared<scaffold::Options>();
  CLI::App* command =
      app.add_subcommand("new", "A folder for an architecture of your own, started from the nearest built-in one");
  command->add_option("name", options->name, "The class: architectures[0] of config.json, MyModelForCausalLM")
      ->required();
  command->add_option("--config", options->config, "config.json of the model, or the directory that holds it")
      ->required();
  command->add_option("--from", options->donor, "Class or family of a built-in; default: the nearest to the config");
  command->add_option("--output", options->output, "The folder to make; default: the config's model_type, here");
  command->callback([options, &result] {
    const auto made = scaffold::scaffold(*options);
    if (made) {
      std::fputs(scaffold::to_text(*made).c_str(), stdout);
    } else {
      result = std::unexpected(made.error());
    }
  });
}

}  // namespace tenon::cli
