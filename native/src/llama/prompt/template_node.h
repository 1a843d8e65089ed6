// Nodes of ours in a chat template's program.
#pragma once

#include <utility>

#include "jinja/runtime.h"

namespace pyserve {

// llama.cpp's nodes leave their place in the source to whoever makes them, and look there when they
// fail. Nodes of ours begin at the template's start.
template <typename Base>
struct TemplateNode : Base {
  template <typename... Args>
  explicit TemplateNode(Args&&... args) : Base(std::forward<Args>(args)...) {
    this->pos = 0;
  }
};

using TemplateStatement = TemplateNode<jinja::statement>;
using TemplateExpression = TemplateNode<jinja::expression>;

// Stands for another expression, at its place.
struct TemplateWrapper : TemplateExpression {
  explicit TemplateWrapper(jinja::statement_ptr wrapped) : inner(std::move(wrapped)) {
    if (inner != nullptr) pos = inner->pos;
  }
  jinja::statement_ptr inner;
};

}  // namespace pyserve
