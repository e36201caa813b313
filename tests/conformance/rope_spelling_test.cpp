// transformers 4 wrote a rope as rope_theta and rope_scaling, which most published configs have; transformers 5 writes
// rope_parameters, as in the goldens. Every registered architecture understands both as the same model, or refuses
// both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "families.h"
#include "verify/conformance/conformance.h"
#include "verify/conformance/specimen.h"

namespace tenon::verify {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct Spellings {
  Json before, now;
};

// The scaled layers' own entry; the whole of rope_parameters where all layers have one rope.
Json& scaled_entry(Json& config) {
  Json& rope = config["rope_parameters"];
  return rope.contains("full_attention") ? rope["full_attention"] : rope;
}

Json with_scaling(Json config, const Json& scaling) {
  Json& entry = scaled_entry(config);
  Json changed = scaling;
  for (const char* kept : {"rope_theta", "partial_rotary_factor"}) {
    if (entry.contains(kept)) changed[kept] = entry[kept];
  }
  entry = changed;
  return config;
}

Spellings spellings(Json config) {
  // The old spelling does not speak of the sliding layers' rope: it is the family's default.
  Json& rope = config["rope_parameters"];
  if (rope.contains("sliding_attention")) rope["sliding_attention"] = {{"rope_type", "default"}};
  Spellings both{config, config};
  Json scaling = scaled_entry(config);
  for (const char* field : {"rope_theta", "partial_rotary_factor"}) {
    if (!scaling.contains(field)) continue;
    both.before[field] = scaling[field];
    scaling.erase(field);
  }
  both.before.erase("rope_parameters");
  scaling["type"] = scaling["rope_type"];
  scaling.erase("rope_type");
  both.before["rope_scaling"] = scaling["type"] == "default" ? Json(nullptr) : scaling;
  return both;
}

std::string graph_of(const model::Architecture& architecture, const Json& config) {
  const auto specimen = Specimen::build(architecture, config);
  return specimen ? graph::to_text((*specimen)->graph) : specimen.error().message;
}

// Whether a config that says nothing of rope is one of rope_type "default".
bool is_default_where_absent(const model::Architecture& architecture, Json config) {
  Json& rope = config["rope_parameters"];
  const Json entry = {{"rope_type", "default"}};
  rope = rope.contains("full_attention") ? Json{{"full_attention", entry}, {"sliding_attention", entry}} : entry;
  const std::string stated = graph_of(architecture, config);
  config.erase("rope_parameters");
  return stated == graph_of(architecture, config);
}

class RopeSpelling : public testing::TestWithParam<model::RegistryEntry> {};

TEST_P(RopeSpelling, OldAndNewAreOneModel) {
  const model::Architecture& architecture = *GetParam().architecture;
  const Json scalings[] = {
      {{"rope_type", "linear"}, {"factor", 8.0}},
      {{"rope_type", "dynamic"}, {"factor", 2.0}},
      {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}, {"beta_fast", 16.0}},
      {{"rope_type", "llama3"},
       {"factor", 32.0},
       {"low_freq_factor", 1.0},
       {"high_freq_factor", 4.0},
       {"original_max_position_embeddings", 32}},
  };
  for (const std::filesystem::path& path : tiny_configs(GetParam().family)) {
    const Json config = read_json_file(path.string()).value();
    if (!config.contains("rope_parameters")) continue;
    std::vector<Json> variants = {config};
    for (const Json& scaling : scalings) variants.push_back(with_scaling(config, scaling));
    for (Json& variant : variants) {
      const auto [before, now] = spellings(variant);
      const Json& type = scaled_entry(variant)["rope_type"];
      SCOPED_TRACE(path.string() + ": " + type.dump());
      const auto parsed = model::parse_config(architecture, now);
      if (!parsed) {
        EXPECT_NE(&variant, &variants.front()) << "its own config is refused: " << parsed.error().message;
        EXPECT_THAT(parsed.error().message, HasSubstr("rope_"));
        const auto old = model::parse_config(architecture, before);
        EXPECT_THAT(old ? "(taken)" : old.error().message, HasSubstr("rope_"));
        continue;
      }
      if (type != "default" || is_default_where_absent(architecture, config)) {
        EXPECT_EQ(graph_of(architecture, before), graph_of(architecture, now));
      }
      EXPECT_THAT(check_config_round_trip(architecture, now), IsEmpty());
      EXPECT_THAT(check_config_round_trip(architecture, before), IsEmpty());
      EXPECT_THAT(check_unknown_variants(architecture, before), IsEmpty());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, RopeSpelling, testing::ValuesIn(model::registry()),
                         [](const auto& test) { return std::string(test.param.family); });

}  // namespace
}  // namespace tenon::verify
