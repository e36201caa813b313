// The report of `tenon verify`, for people and for programs.
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <map>

#include "verify/verify.h"

namespace tenon::verify {
namespace {

[[gnu::format(printf, 1, 2)]] std::string print(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::map<std::string, double> local_errors(const Report& report) {
  if (!report.diagnosis) return {};
  return {report.diagnosis->local.begin(), report.diagnosis->local.end()};
}

std::string table(const Report& report) {
  const auto local = local_errors(report);
  std::string out = print("\n%-44s %10s %10s %10s %8s%s\n", "layer", "error", "cosine", "max abs", "from",
                          local.empty() ? "" : "  by itself");
  for (const TapRow& tap : report.taps) {
    const RowDifference& d = tap.difference;
    const bool fine = d.error <= report.tolerance.tap;
    out += print("%-44s %10.2e %10.6f %10.2e %8s", tap.name.c_str(), d.error, d.cosine, d.max_abs,
                 fine ? "" : std::to_string(d.first).c_str());
    if (const auto it = local.find(tap.name); it != local.end()) out += print("  %9.2e", it->second);
    out += "\n";
  }
  return out;
}

std::string conclusion(const Report& report) {
  if (!report.diagnosis) return "no diagnosis: " + report.no_diagnosis + "\n";
  const Diagnosis& d = *report.diagnosis;
  if (d.first.empty()) {
    return "every layer agrees by itself when computed in float32: the equations and weights are right, and what "
           "differs comes of the encoding " +
           report.encoding + " or of its kernels (try --quantization-encoding float32)\n";
  }
  std::string out = print("first diverging: %s, from token %lld on (error %.2e given the reference's own input)\n",
                          d.first.c_str(), static_cast<long long>(d.first_row), d.error);
  for (const Cause& cause : d.causes) {
    out += "likely cause: " + cause.kind + ": " + cause.text + "\n";
    out += "  with that changed " + std::string(cause.everywhere ? "wherever it applies" : "in this layer only") +
           ", " + cause.tap + print(" agrees: error %.2e instead of %.2e\n", cause.after, cause.before);
    for (const std::string& other : cause.as_good) out += "  this would explain it as well: " + other + "\n";
  }
  if (!d.unexplained.empty()) {
    out += d.causes.empty() ? "no tested cause explains it: compare the equations of " + d.unexplained +
                                  " with the reference's source\n"
                            : "then " + d.unexplained + " still diverges, and no tested cause explains that\n";
    if (d.causes.empty() && d.first.find("embed") != std::string::npos) {
      out += "  the embeddings themselves differ: are these the weights that the dump was made with?\n";
    }
  } else if (!d.causes.empty()) {
    out += "with that, every layer and the logits agree\n";
  }
  return out;
}

}  // namespace

std::string to_text(const Report& report) {
  const Difference& d = report.logits;
  std::string out =
      report.model + ", " + report.architecture + ", " + report.encoding + "\nreference " + report.reference + "\n";
  for (const std::string& difference : report.config_differences) out += "note: " + difference + "\n";
  if (const auto& taps = report.unmatched_taps; !taps.empty()) {
    out += "note: " + std::to_string(taps.size()) + " taps of the dump are not this model's (" + taps.front() +
           (taps.size() > 1 ? ", …" : "") + "): scopes that are tapped have the names of transformers' modules\n";
  }
  out +=
      print("logits of %lld tokens: KL mean %.3g max %.3g, cosine %.6f, max abs error %.3g, top-1 agreement %.2f %%\n",
            static_cast<long long>(d.tokens), d.kl_mean, d.kl_max, d.cosine, d.max_abs, 100 * d.top1);
  if (!report.taps.empty()) out += table(report);
  out += print("\n%s: %s allows KL mean %.3g and max %.3g\n", report.agrees ? "AGREES" : "DIVERGES",
               report.encoding.c_str(), report.tolerance.kl_mean, report.tolerance.kl_max);
  if (report.agrees && !report.diagnosis) return out;
  if (report.agrees) out += "but a layer differs by more than float32 rounds: the logits hide a small mistake\n";
  return out + conclusion(report);
}

Json to_json(const Report& report) {
  // JSON has no infinity: a number that is not finite becomes null.
  const auto number = [](double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); };
  const Difference& d = report.logits;
  Json out = {{"model", report.model},
              {"architecture", report.architecture},
              {"encoding", report.encoding},
              {"reference", report.reference},
              {"agrees", report.agrees},
              {"config_differences", report.config_differences},
              {"unmatched_taps", report.unmatched_taps},
              {"tokens", d.tokens},
              {"kl_mean", number(d.kl_mean)},
              {"kl_max", number(d.kl_max)},
              {"cosine", number(d.cosine)},
              {"max_abs", number(d.max_abs)},
              {"top1", d.top1},
              {"layers", Json::array()}};
  const auto local = local_errors(report);
  for (const TapRow& tap : report.taps) {
    Json row = {{"name", tap.name},
                {"error", number(tap.difference.error)},
                {"cosine", number(tap.difference.cosine)},
                {"max_abs", number(tap.difference.max_abs)}};
    if (const auto it = local.find(tap.name); it != local.end()) row["error_by_itself"] = number(it->second);
    out["layers"].push_back(std::move(row));
  }
  if (!report.no_diagnosis.empty()) out["no_diagnosis"] = report.no_diagnosis;
  if (!report.diagnosis) return out;
  out["first_diverging"] = report.diagnosis->first.empty() ? Json(nullptr) : Json(report.diagnosis->first);
  out["first_row"] = report.diagnosis->first_row;
  out["causes"] = Json::array();
  for (const Cause& cause : report.diagnosis->causes) {
    out["causes"].push_back({{"kind", cause.kind},
                             {"text", cause.text},
                             {"layer", cause.tap},
                             {"everywhere", cause.everywhere},
                             {"error_before", number(cause.before)},
                             {"error_after", number(cause.after)},
                             {"as_good", cause.as_good}});
  }
  out["unexplained"] = report.diagnosis->unexplained.empty() ? Json(nullptr) : Json(report.diagnosis->unexplained);
  return out;
}

}  // namespace tenon::verify
