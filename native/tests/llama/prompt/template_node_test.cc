#include "llama/prompt/template_node.h"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

using namespace pyserve;

TEST_CASE("nodes of ours have a place in the source, whatever their memory held") {
  alignas(TemplateExpression) std::array<std::byte, sizeof(TemplateExpression)> memory;
  memory.fill(std::byte{0x55});
  auto* node = new (memory.data()) TemplateExpression;
  CHECK_EQ(node->pos, 0);
  std::destroy_at(node);
}

TEST_CASE("a node that stands for another one has its place") {
  auto inner = std::make_unique<TemplateExpression>();
  inner->pos = 7;
  CHECK_EQ(TemplateWrapper(std::move(inner)).pos, 7);
  CHECK_EQ(TemplateWrapper(nullptr).pos, 0);
}
