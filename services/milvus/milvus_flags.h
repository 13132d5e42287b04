// The options of a command line that say how a Milvus is used.
#pragma once

#include <CLI/CLI.hpp>

#include "services/milvus/milvus_options.h"

namespace lastro::services {

// Adds --milvus-tls and so on. Both must outlive the parsing. The token comes from $LASTRO_MILVUS_TOKEN, which is read
// here, because a command line is seen by everybody on the machine.
void AddMilvusFlags(CLI::App* app, MilvusOptions* options);

}  // namespace lastro::services
