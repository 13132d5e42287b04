// The move of a collection to another embedding model as people see it.
#pragma once

#include <ostream>

#include "lastro/v1/eval.pb.h"
#include "lastro/v1/ingest.pb.h"
#include "services/cli/terminal.h"

namespace lastro::services {

// Both models with how far they are, and what can be done next.
void PrintReembedding(const v1::Reembedding& state, const Terminal& terminal, std::ostream& out);
void PrintModelComparison(const v1::ModelComparison& comparison, const Terminal& terminal, std::ostream& out);

}  // namespace lastro::services
