// A loaded model that runs many requests in one batch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pyserve/blocks.h"
#include "pyserve/config.h"
#include "pyserve/request.h"

namespace pyserve {

// Requests go in by submit(), events come out of poll(). Every submitted request ends in exactly
// one last event: a DeltaEvent with `finish`, or a FailedEvent.
// Thread: any thread, but poll() is for one consumer. No method needs the Python interpreter.
class Engine {
 public:
  // Loads the model and starts the engine's threads; blocks until both are done.
  // Throws EngineError(kModelLoad) when the file cannot be served.
  explicit Engine(const EngineConfig& config);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues `request` and returns at once; its id must not be in use by an unfinished request.
  // Throws EngineError(kQueueFull | kUnavailable); every later error is a FailedEvent.
  void submit(Request request);

  // Ends a request with a FailedEvent(kCancelled). Unknown and finished ids are ignored.
  void cancel(RequestId id);

  // All events since the last call, in order; waits up to `timeout_ms` for the first one.
  // Throws EngineError(kUnavailable) after stop(), once the remaining events were taken.
  std::vector<Event> poll(double timeout_ms);

  std::vector<Token> tokenize(const std::string& text, bool add_special, bool parse_special);
  // Bytes that are not UTF-8 become U+FFFD. Throws kInvalidRequest for ids outside the vocabulary.
  std::string detokenize(const std::vector<Token>& tokens);
  // The bytes of each token, maybe a part of a UTF-8 character. Throws as detokenize does.
  std::vector<std::string> pieces(const std::vector<Token>& tokens);
  // The texts of the control tokens.
  std::vector<std::string> control_texts() const;
  // The prompt text that the chat template makes of a conversation.
  std::string render(const ChatPrompt& prompt);
  // The tokens of that prompt, exactly as a request with this prompt gets them.
  std::vector<Token> tokenize_chat(const ChatPrompt& prompt);

  // The tokens of a rendered prompt, in the same way.
  std::vector<Token> tokenize_segments(const SegmentPrompt& prompt);

  // Requests that are submitted from now on find nothing that was computed before.
  void clear_prefixes();

  // What happened to kept prefixes since the last call, in order; waits up to `timeout_ms` for it.
  // Nobody waits for the caller: what is too much is dropped, and all is told again.
  // Throws EngineError(kUnavailable) after stop().
  // REQUIRES: EngineConfig::tells_blocks. Thread: one consumer.
  PrefixChanges take_prefix_changes(double timeout_ms);

  ModelInfo info() const;
  EngineStats stats() const;

  // Fails every unfinished request with kCancelled and ends the threads. Idempotent.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pyserve
