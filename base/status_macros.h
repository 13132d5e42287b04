// Propagation of absl::Status and absl::StatusOr. `context...` arguments are not supported on purpose: say what failed
// where the error is made, with the file, the field and what was expected.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define LASTRO_CONCAT_INNER_(a, b) a##b
#define LASTRO_CONCAT_(a, b) LASTRO_CONCAT_INNER_(a, b)

// Returns from the current function with the status of `expr` unless it is OK.
#define LASTRO_RETURN_IF_ERROR(expr)                         \
  do {                                                       \
    if (absl::Status lastro_status_ = (expr); !lastro_status_.ok()) return lastro_status_; \
  } while (false)

// LASTRO_ASSIGN_OR_RETURN(auto x, F()): assigns the value of a StatusOr, or returns its status.
#define LASTRO_ASSIGN_OR_RETURN(lhs, expr) \
  LASTRO_ASSIGN_OR_RETURN_IMPL_(LASTRO_CONCAT_(lastro_status_or_, __LINE__), lhs, expr)
#define LASTRO_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                  \
  if (!tmp.ok()) return std::move(tmp).status();      \
  lhs = *std::move(tmp)
