#include "scaffold/scaffold.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>

#include "model/plugin/sdk_location.h"
#include "scaffold/rename.h"
#include "scaffold/tiny_config.h"

namespace tenon::scaffold {
namespace {

namespace fs = std::filesystem;

bool is_class_name(const std::string& name) {
  return !name.empty() && std::isupper(static_cast<unsigned char>(name[0])) != 0 &&
         std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

// A folder's name is a namespace.
bool is_family_name(const std::string& name) {
  static constexpr auto kKeywords = std::to_array<std::string_view>(
      {"and",     "auto",     "bool",   "break",    "case",     "catch",   "char",    "class",   "const",  "continue",
       "default", "delete",   "do",     "double",   "else",     "enum",    "export",  "extern",  "false",  "float",
       "for",     "friend",   "goto",   "if",       "inline",   "int",     "long",    "mutable", "new",    "not",
       "or",      "private",  "public", "register", "return",   "short",   "signed",  "sizeof",  "static", "struct",
       "switch",  "template", "this",   "throw",    "true",     "try",     "typedef", "union",   "using",  "virtual",
       "void",    "volatile", "while",  "xor",      "requires", "concept", "model",   "nn",      "graph",  "tensor"});
  return !name.empty() && std::islower(static_cast<unsigned char>(name[0])) != 0 &&
         std::ranges::all_of(
             name, [](unsigned char c) { return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '_'; }) &&
         std::ranges::find(kKeywords, name) == kKeywords.end();
}

// "MyModel2ForCausalLM" → "my_model2"
std::string snake_case(std::string name) {
  for (const std::string suffix : {"ForCausalLM", "ForConditionalGeneration", "ForMaskedLM", "LMHeadModel", "Model"}) {
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      name.resize(name.size() - suffix.size());
      break;
    }
  }
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto upper = [&](std::size_t at) {
      return at < name.size() && std::isupper(static_cast<unsigned char>(name[at])) != 0;
    };
    const bool ends_acronym = i > 0 && upper(i) && upper(i - 1) && i + 1 < name.size() && !upper(i + 1);
    if (i > 0 && upper(i) && (!upper(i - 1) || ends_acronym) && out.back() != '_') out += '_';
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
  }
  return out;
}

std::string string_field(const Json& config, const char* field) {
  const auto it = config.find(field);
  return it != config.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// The folder's name: transformers' own, unless a built-in family has it.
std::string family_name(const Options& options, const std::string& model_type) {
  if (!options.output.empty()) {
    const fs::path path = fs::path(options.output).lexically_normal();
    return (path.has_filename() ? path : path.parent_path()).filename().string();
  }
  const auto taken = [](const std::string& name) {
    return std::ranges::any_of(model::registry(), [&](const auto& entry) { return entry.family == name; });
  };
  if (is_family_name(model_type) && !taken(model_type)) return model_type;
  const std::string snake = snake_case(options.name);
  return is_family_name(snake) && !taken(snake) ? snake : snake + "_custom";
}

Result<model::RegistryEntry> find_donor(const Options& options, const Json& config) {
  if (options.donor.empty()) return model::nearest_architecture(options.name, config);
  std::vector<std::string> names;
  std::string families;
  for (const model::RegistryEntry& entry : model::registry()) {
    if (!entry.origin.empty()) continue;
    if (entry.family == options.donor || model::serves(*entry.architecture, options.donor)) return entry;
    names.emplace_back(entry.family), names.emplace_back(entry.architecture->name);
    names.insert(names.end(), entry.architecture->also.begin(), entry.architecture->also.end());
    families += (families.empty() ? "" : ", ") + std::string(entry.family);
  }
  const std::string near = nearest_name(options.donor, names);
  return fail(ErrorCode::kNotFound, "there is no built-in architecture " + options.donor + " to start from" +
                                        (near.empty() ? ": there are " + families : "; did you mean " + near + "?"));
}

Result<Json> read_config(const std::string& path, const std::string& name) {
  TENON_ASSIGN(Json config, read_json_file(path));
  if (!config.is_object()) return invalid("file " + path + " is not a JSON object, as a config.json is");
  if (const std::string own = model::class_of(config); !own.empty() && own != name) {
    return invalid("file " + path + " is of " + Json(own).dump() +
                   ", by which name Tenon looks for its architecture: " + "run `tenon new` with that instead of " +
                   name);
  }
  return config;
}

// Sizes that the config leaves to the donor's defaults are those of a large model: they are written out, to be made
// tiny.
Json with_default_sizes(Understood understood) {
  for (const Difference& difference : understood.differences) {
    const bool size = difference.kind == Difference::Kind::kDefaulted && tiny_size(difference.field);
    const bool at_the_top = difference.field.find('.') == std::string::npos;
    if (size && at_the_top && difference.value.is_number_integer()) {
      understood.config[difference.field] = difference.value;
    }
  }
  return std::move(understood.config);
}

Status write_file(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) return invalid("cannot write " + path.string());
  return {};
}

}  // namespace

Result<Scaffold> scaffold(const Options& options, std::string sources) {
  if (!is_class_name(options.name)) {
    return invalid("\"" + options.name +
                   "\" is not the name of a class: give config.json's architectures[0], such as " +
                   "MyModelForCausalLM");
  }
  std::error_code error;
  const bool directory = fs::is_directory(options.config, error);
  Scaffold made{.config = directory ? (fs::path(options.config) / "config.json").string() : options.config};
  TENON_ASSIGN(const Json config, read_config(made.config, options.name));
  TENON_ASSIGN(made.donor, find_donor(options, config));

  std::string model_type = string_field(config, "model_type");
  std::ranges::replace(model_type, '-', '_');
  const std::string family = family_name(options, model_type);
  if (!is_family_name(family)) {
    return invalid("\"" + family +
                   "\" cannot be the folder's name, which is a C++ namespace too: give --output a folder " +
                   "of lower-case letters, digits and _");
  }
  if (!is_family_name(model_type)) model_type = family;
  made.folder = options.output.empty() ? family : options.output;
  if (fs::exists(fs::symlink_status(made.folder, error))) {
    return invalid(made.folder + " exists, and nothing is overwritten: choose another --output");
  }
  if (sources.empty()) {
    TENON_ASSIGN(const model::SdkLocation sdk, model::find_sdk());
    sources = sdk.architectures;
  }

  TENON_ASSIGN(Understood understood, understand(*made.donor.architecture, config));
  made.differences = understood.differences;
  const Json small = tiny_config(with_default_sizes(std::move(understood)));
  TENON_ASSIGN(Understood tiny, understand(*made.donor.architecture, small));
  tiny.config["architectures"] = Json::array({options.name});
  std::vector<std::string> lines;
  for (const Difference& difference : made.differences) lines.push_back(to_text(difference, made.donor.family));
  const std::string donor_family(made.donor.family);
  TENON_ASSIGN(const auto files,
               renamed_sources(sources, {std::string(made.donor.architecture->name), donor_family, donor_family},
                               {options.name, family, model_type}, lines));

  fs::create_directories(fs::path(made.folder) / "tiny", error);
  if (error) return invalid("cannot make the folder " + made.folder + ": " + error.message());
  for (const auto& [name, text] : files) TENON_TRY(write_file(fs::path(made.folder) / name, text));
  TENON_TRY(write_file(fs::path(made.folder) / "tiny" / "config.json", tiny.config.dump(2) + "\n"));
  return made;
}

std::string to_text(const Scaffold& made) {
  const std::string donor(made.donor.family);
  std::string text = made.folder + ": the files of " + donor + " under the new name, and tiny/config.json\n";
  text += made.differences.empty()
              ? made.config + " says nothing that " + donor + " does not read\n"
              : "where " + made.config + " differs from what " + donor + " reads (TODO in model_config.cpp):\n";
  for (const Difference& difference : made.differences) text += "  " + to_text(difference, donor) + "\n";
  return text + "its test, on a tiny random checkpoint, which passes from the start; run it after each change:\n" +
         "  tenon check " + made.folder + "\nthen the real model:\n  tenon inspect MODEL --custom-architectures " +
         made.folder + "\n";
}

}  // namespace tenon::scaffold
