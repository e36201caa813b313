// The engine of an embedding model: requests of many threads wait in a queue, one thread packs their texts into runs.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/encoder.h"
#include "engine/engine.h"

namespace tenon::engine {

using Vectors = std::vector<std::vector<float>>;
/// Called once, on the encoder's thread: the vectors of a request's texts, in order, or why there are none: kCancelled,
/// kUnavailable (the loop has ended), kInternal. Must not block.
using VectorSink = std::function<void(Result<Vectors>)>;

/// Requests take turns, a text each, so that a long list does not hold up a short one. Of a text that comes in pieces
/// one is in hand at a time; it leaves half of each run to those that wait beside it.
class EncoderLoop {
 public:
  struct Options {
    /// Where so many texts wait, more are refused. (A request that finds fewer waiting is taken whatever its size.)
    std::size_t max_queued_texts = 16384;
  };
  explicit EncoderLoop(std::unique_ptr<Encoder> encoder) : EncoderLoop(std::move(encoder), Options()) {}
  EncoderLoop(std::unique_ptr<Encoder> encoder, Options options);
  /// What runs or waits ends with kUnavailable. Not from a sink.
  ~EncoderLoop();

  /// Queues texts, at least one; each has passed encoder().check(). kResourceExhausted: the queue is full.
  Result<RequestId> submit(std::vector<std::vector<std::int32_t>> texts, VectorSink sink);
  /// Ends a request before the next run; unknown ids are ignored.
  void cancel(RequestId id);
  Stats stats() const;
  /// For what does not change: check(), dimensions(), max_length(), normalizes().
  const Encoder& encoder() const { return *encoder_; }

 private:
  struct Active {
    RequestId id = 0;
    std::vector<Encoder::Text> texts;
    std::size_t next = 0;  ///< first text that is not begun
    std::size_t left = 0;  ///< texts without a vector
    bool cancelled = false;
    VectorSink sink;
    TimePoint submitted;
  };
  struct Part {
    Active* request;
    Encoder::Text* text;
  };
  struct Ended {
    VectorSink sink;
    Result<Vectors> result;
  };

  void loop();
  bool wait_for_work();
  void plan();
  void end_cancelled();
  void settle();
  void end(Active& request, Result<Vectors> result, std::int64_t& counter);
  void publish();

  const std::unique_ptr<Encoder> encoder_;
  const Options options_;

  // Of the encoder's thread alone.
  std::vector<Part> parts_;  ///< of the run
  std::vector<Ended> ended_;

  mutable std::mutex mutex_;  ///< not held while the model runs or a sink is called
  std::condition_variable wake_;
  std::unordered_map<RequestId, std::unique_ptr<Active>> requests_;
  std::deque<Active*> turns_;  ///< those with texts that are not begun
  Part begun_{};               ///< the text that comes in pieces, or none
  std::size_t queued_ = 0;     ///< texts that are not begun
  bool any_cancelled_ = false, stopping_ = false;
  RequestId next_id_ = 1;
  Stats counters_;

  std::thread thread_;  ///< last: starts when all else is there
};

}  // namespace tenon::engine
