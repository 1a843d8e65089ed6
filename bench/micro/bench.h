// Times one operation, or two of them in turns, and prints rows of a table.
#pragma once

#include <functional>
#include <string>

namespace pyserve::bench {

// One operation; what it returns keeps the compiler from leaving it out.
using Operation = std::function<long()>;

void print_heading(const std::string& what, const std::string& other = "");

// Median microseconds of one operation over `n_rounds`, each of `n_inner` operations.
void measure(const std::string& name, const Operation& ours, int n_inner = 1, int n_rounds = 200);

// The same of two, in alternating order, so that a disturbance meets both.
void compare(const std::string& name, const Operation& ours, const Operation& theirs,
             int n_rounds = 60);

// The least microseconds of this thread's processor time instead, for operations of one thread that
// are long beside a disturbance.
void compare_best(const std::string& name, const Operation& ours, const Operation& theirs,
                  int n_rounds = 9);

void bench_sampler();
void bench_policy();
void bench_tree();
void bench_text();
void bench_mul_mat();
void bench_attention();
void bench_geglu();
void bench_recurrence();

}  // namespace pyserve::bench
