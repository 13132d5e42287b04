// ComposedNode: the Node that is put together from local and remote parts; what lastrod needs of it besides Node.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/chunk_store.h"
#include "services/node.h"

namespace lastro::services {

// "embedding", "generation", "retrieval", "ingest", "ask".
const char* RoleName(Role role);

// The folder or file of the reader that `configured` (NodeConfig::reader_folder) asks for: "" where there is to be none.
// NOT_FOUND: it is to be the built-in one, and the built-in models are nowhere.
absl::StatusOr<std::string> FindReader(const std::string& configured);

class ComposedNode : public Node {
 public:
  // As Node::Create.
  static absl::StatusOr<std::unique_ptr<ComposedNode>> Create(const NodeConfig& config);

  // The store of this process; null unless it hosts the retrieval role.
  virtual retrieval::ChunkStore* store() = 0;

  // The full names of the gRPC services that this process hosts, such as "lastro.v1.AskService".
  virtual std::vector<std::string> HostedServices() const = 0;
};

}  // namespace lastro::services
