// Why a model diverges from its reference: which part does so by itself, and which single change of its graph would
// make it agree.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "verify/hypotheses/trial.h"
#include "verify/reference.h"

namespace tenon::verify {

/// A model as its architecture built it.
struct Subject {
  const graph::Graph* graph = nullptr;
  Evaluator::Weights weights;  ///< of the names in the graph, and of background.unused
  Background background;
};

struct Cause {
  std::string kind, text;
  std::string tap;                        ///< where it was found
  bool everywhere = true;                 ///< the change also helps, or does not matter, in other layers
  double before = 0, after = 0;           ///< the tap's error without and with the change
  std::vector<std::string> as_good = {};  ///< other changes that do as well: the dump cannot tell them apart
};

struct Diagnosis {
  std::string first;           ///< the first tap ("logits" is the last) that diverges by itself; "": none does
  double error = 0;            ///< of that tap, computed in float32 from the reference's own values before it
  std::int64_t first_row = 0;  ///< the first token where it does
  std::vector<Cause> causes;   ///< in the order of the model; each explains one divergence
  std::string unexplained;     ///< the first tap that no tested change explains, the causes applied; "": none
  std::vector<std::pair<std::string, double>> local;  ///< the error of each tap by itself, as far as it was looked at
};

/// A tap agrees if its error, computed by itself in float32, is not above this.
double local_tolerance(const std::string& reference_dtype);

/// What rounding alone comes to between two runs in float32; the tiny checkpoints of tests/golden stay below 7e-6.
inline constexpr double kRounding = 2e-5;

/// Looks at the first `rows` tokens of prompt 0. An error if the dump has no taps or the weights cannot be read.
/// `tolerance` of a tap by itself; 0: local_tolerance().
Result<Diagnosis> diagnose(const Subject& subject, const Reference& reference, std::int64_t rows, ThreadPool& pool,
                           double tolerance = 0);

}  // namespace tenon::verify
