#include "engine/request/registry.h"

#include <doctest/doctest.h>

using namespace pyserve;

namespace {

Event finished(RequestId id) {
  DeltaEvent delta;
  delta.finish = Finish{};
  return {id, delta};
}

ErrorCode open_error(Registry& registry, RequestId id) {
  try {
    registry.open(id);
  } catch (const EngineError& error) {
    return error.info().code;
  }
  FAIL("open() did not throw");
  return ErrorCode::kInternal;
}

}  // namespace

TEST_CASE("a full registry refuses, and has room again after a last event") {
  Registry registry(1);
  registry.open(1);
  CHECK(open_error(registry, 2) == ErrorCode::kQueueFull);
  DeltaEvent delta;
  delta.text = "text";
  registry.publish({Event{1, delta}});
  CHECK(registry.n_open() == 1);
  registry.publish({finished(1)});
  CHECK(registry.n_open() == 0);
  CHECK(registry.open(2)->id == 2);
}

TEST_CASE("who is refused is told when places will be free, once that is known") {
  Registry registry(3);
  const auto details = [&] {
    try {
      registry.open(9);
    } catch (const EngineError& error) {
      return error.info().details;
    }
    return decltype(ErrorInfo::details)();
  };
  for (const RequestId id : {1, 2, 3}) registry.open(id);
  CHECK_FALSE(details().contains("retry_after_s"));
  registry.publish({finished(1), finished(2)});
  registry.open(1);
  registry.open(2);
  CHECK(details().at("retry_after_s") == 1);
}

TEST_CASE("an id in use is refused") {
  Registry registry(2);
  registry.open(1);
  CHECK(open_error(registry, 1) == ErrorCode::kInvalidRequest);
}

TEST_CASE("cancel marks an open request and ignores others") {
  Registry registry(2);
  const auto ticket = registry.open(1);
  CHECK(registry.cancel(1));
  CHECK(ticket->is_cancelled);
  CHECK_FALSE(registry.cancel(2));
  registry.fail(*ticket, {ErrorCode::kCancelled, "", {}, {}});
  CHECK_FALSE(registry.cancel(1));
}

TEST_CASE("endings are counted by kind") {
  Registry registry(8);
  for (RequestId id = 1; id <= 4; ++id) registry.open(id);
  registry.publish({finished(1), finished(2), Event{3, AcceptedEvent{1}}});
  registry.publish({Event{3, FailedEvent{{ErrorCode::kCancelled, "", {}, {}}}},
                    Event{4, FailedEvent{{ErrorCode::kInternal, "", {}, {}}}}});
  CHECK(registry.ended().n_finished == 2);
  CHECK(registry.ended().n_cancelled == 1);
  CHECK(registry.ended().n_failed == 1);
}

TEST_CASE("events come out in order, also those published before the end") {
  Registry registry(2);
  registry.open(1);
  registry.publish({Event{1, AcceptedEvent{5}}, finished(1)});
  registry.close();
  registry.close_outbox();
  CHECK(registry.take_events(0).size() == 2);
  CHECK_THROWS_AS(registry.take_events(0), EngineError);
  CHECK(open_error(registry, 2) == ErrorCode::kUnavailable);
}
