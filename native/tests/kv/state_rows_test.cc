#include "kv/state_rows.h"

#include <doctest/doctest.h>

#include <vector>

namespace pyserve {
namespace {

// The rows of positions [begin, end) of sequence 0; a row holds its position twice.
void fill(StateRows& rows, int begin, int end) {
  for (int pos = begin; pos < end; ++pos) {
    rows.add(0, pos, std::vector<float>(2, static_cast<float>(pos)));
  }
}

bool has(const StateRows& rows, SeqId seq_id, int pos) {
  const auto row = rows.row(seq_id, pos);
  return row.size() == 2 && row[0] == static_cast<float>(pos) && row[1] == row[0];
}

TEST_CASE("rows are kept of a run of positions") {
  StateRows rows(2);
  fill(rows, 3, 8);
  CHECK(rows.begin(0) == 3);
  CHECK(rows.end(0) == 8);
  for (int pos = 3; pos < 8; ++pos) CHECK(has(rows, 0, pos));
  CHECK(rows.row(0, 2).empty());
  CHECK(rows.row(0, 8).empty());
  CHECK(rows.row(1, 3).empty());
}

TEST_CASE("a row that does not follow the last one begins a new run") {
  StateRows rows(2);
  fill(rows, 3, 8);
  fill(rows, 9, 10);
  CHECK(rows.begin(0) == 9);
  CHECK(rows.row(0, 7).empty());
}

TEST_CASE("a run is cut at both ends") {
  StateRows rows(2);
  fill(rows, 3, 8);
  rows.drop_before(0, 5);
  rows.truncate(0, 7);
  CHECK(rows.begin(0) == 5);
  CHECK(rows.end(0) == 7);
  CHECK(has(rows, 0, 5));
  CHECK(has(rows, 0, 6));
  rows.truncate(0, 5);
  CHECK(rows.end(0) == 0);
  fill(rows, 3, 8);
  rows.drop_before(0, 8);
  CHECK(rows.end(0) == 0);
}

TEST_CASE("the last row goes with a sequence that is forked there") {
  StateRows rows(2);
  fill(rows, 3, 8);
  rows.copy_last(0, 1, 7);
  CHECK(rows.begin(1) == 6);
  CHECK(rows.end(1) == 7);
  CHECK(has(rows, 1, 6));
  rows.copy_last(0, 1, 20);
  CHECK(rows.end(1) == 0);
}

TEST_CASE("a saved row is restored, and what is no such row is not") {
  StateRows rows(2);
  CHECK(rows.save_last(0).empty());
  fill(rows, 3, 8);
  std::vector<uint8_t> data = rows.save_last(0);
  CHECK(rows.restore_last(1, data));
  CHECK(rows.begin(1) == 7);
  CHECK(has(rows, 1, 7));
  data.pop_back();
  CHECK_FALSE(rows.restore_last(1, data));
  CHECK(rows.end(1) == 0);
  CHECK(rows.restore_last(1, {}));
}

}  // namespace
}  // namespace pyserve
