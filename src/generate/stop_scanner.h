// Finds stop strings in a text that comes in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tenon::generate {

/// What may be shown of the text so far.
struct Piece {
  std::string text;
  bool stopped = false;   ///< a stop string was found: `text` ends before (or with) it, and nothing more comes
  std::string stop = {};  ///< that string
};

/// Text is held back while it could be the beginning of a stop string, so that no part of one is ever shown, and the
/// result does not depend on where the pieces are cut. The stop string that is complete first counts; of those
/// complete at the same place the longest.
class StopScanner {
 public:
  /// None is empty. `include`: the text ends with the stop string that was found.
  explicit StopScanner(std::vector<std::string> stops, bool include = false)
      : stops_(std::move(stops)), include_(include) {}

  Piece push(std::string_view text);
  /// The end of the text: what was held back is no stop string.
  std::string flush();

 private:
  std::vector<std::string> stops_;
  bool include_;
  std::string held_;
};

}  // namespace tenon::generate
