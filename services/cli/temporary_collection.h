// TemporaryCollection: an empty collection for one command, which leaves nothing behind: in this process a store in a
// temporary folder, on a server a collection that is deleted again. Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/scope.h"
#include "services/cli/session.h"
#include "services/cli/temporary_folder.h"
#include "services/node.h"

namespace lastro::services {

class TemporaryCollection {
 public:
  // `session` must outlive it; `prefix` names the collection. INVALID_ARGUMENT for a caller on a server who could not
  // delete it again, because he does not see all labels.
  static absl::StatusOr<std::unique_ptr<TemporaryCollection>> Make(const std::string& prefix, Session& session);
  // Deletes it; where that fails, says on the session's error stream how to do it.
  ~TemporaryCollection();
  TemporaryCollection(const TemporaryCollection&) = delete;
  TemporaryCollection& operator=(const TemporaryCollection&) = delete;

  Node* node() const { return node_; }
  const std::string& name() const { return name_; }
  // Another tenant also has a collection of this name, which goes with it.
  void AddTenant(const std::string& tenant) { other_tenant_ = tenant; }

 private:
  TemporaryCollection(std::string name, Session* session) : session_(*session), name_(std::move(name)) {}
  void Delete(const Scope& scope);

  Session& session_;
  const std::string name_;
  std::optional<std::string> other_tenant_;
  std::optional<TemporaryFolder> folder_;  // outlives the components on it
  std::unique_ptr<Node> own_node_;
  Node* node_ = nullptr;
};

}  // namespace lastro::services
