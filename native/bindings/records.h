// Converts records: Python objects are read by the names of their fields, C++ records become dicts
// (some: tuples) as msgspec.convert() takes them. For pybind11 they are types like any other.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "bindings.h"
#include "fields.h"

namespace pyserve {

// float32, as the CPU has them.
inline pybind11::bytes to_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

template <typename F>
void read_field(pybind11::handle object, const F& field, typename F::Struct& record) {
  if constexpr (F::kAs != As::kArgument) {
    pybind11::object value = object.attr(field.name);
    if (value.is_none()) return;
    if constexpr (F::kAs == As::kItems) value = value.attr("items")();
    pybind11::detail::make_caster<typename F::Member> caster;
    if (!caster.load(value, true)) {
      const std::string type = pybind11::str(pybind11::type::handle_of(value).attr("__name__"));
      throw pybind11::type_error(std::string(field.name) + ": this " + type + " does not fit");
    }
    record.*field.member = pybind11::detail::cast_op<typename F::Member&&>(std::move(caster));
  }
}

template <typename F>
pybind11::object field_value(const typename F::Struct& record, const F& field) {
  const auto& value = record.*field.member;
  if constexpr (F::kAs == As::kNoneIfEmpty) {
    if (value.empty()) return pybind11::none();
  }
  if constexpr (F::kAs == As::kBytes) {
    return pybind11::bytes(value);
  } else if constexpr (F::kAs == As::kReadable) {
    return readable(value);
  } else if constexpr (std::is_same_v<typename F::Member, std::vector<float>>) {
    return to_bytes(value);
  } else {
    return pybind11::cast(value);
  }
}

// What `object` has in the fields that `T` has. Raises AttributeError where it lacks one, TypeError
// where a value does not fit.
template <Record T>
void read_record(pybind11::handle object, T& record) {
  std::apply([&](const auto&... field) { (read_field(object, field, record), ...); },
             Fields<T>::kList);
}

template <Record T>
pybind11::dict to_dict(const T& record) {
  pybind11::dict dict;
  const auto put = [&]<typename F>(const F& field) {
    if constexpr (F::kAs != As::kArgument) dict[field.name] = field_value(record, field);
  };
  std::apply([&](const auto&... field) { (put(field), ...); }, Fields<T>::kList);
  return dict;
}

template <Record T>
pybind11::tuple to_tuple(const T& record) {
  return std::apply(
      [&](const auto&... field) { return pybind11::make_tuple(field_value(record, field)...); },
      Fields<T>::kList);
}

inline const char* reason_name(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : "length";
}

}  // namespace pyserve

namespace pybind11::detail {

template <pyserve::Record T>
struct type_caster<T> {
  PYBIND11_TYPE_CASTER(T, const_name("object"));

  bool load(handle object, bool /*convert*/) {
    pyserve::read_record(object, value);
    return true;
  }

  static handle cast(const T& record, return_value_policy /*policy*/, handle /*parent*/) {
    if constexpr (pyserve::kIsTuple<T>) {
      return pyserve::to_tuple(record).release();
    } else {
      return pyserve::to_dict(record).release();
    }
  }
};

template <>
struct type_caster<pyserve::ErrorCode> {
  static constexpr auto name = const_name("str");

  static handle cast(pyserve::ErrorCode code, return_value_policy /*policy*/, handle /*parent*/) {
    return str(pyserve::code_name(code)).release();
  }
};

template <>
struct type_caster<pyserve::FinishReason> {
  static constexpr auto name = const_name("str");

  static handle cast(pyserve::FinishReason reason, return_value_policy /*policy*/,
                     handle /*parent*/) {
    return str(pyserve::reason_name(reason)).release();
  }
};

}  // namespace pybind11::detail
