// PrefixCache: the KV blocks of texts that were computed before, kept for texts that begin with the same tokens. A tree
// of whole blocks per scope: what one scope computed no other finds. Tokens are compared, not hashes of them.
//
// The cache holds at most so many bytes of the model's KV memory, gives the block used longest ago back first, and
// gives back what others need when the memory is full. A scope has a version: when a text of another one begins,
// all that the last left is dropped, and what runs on in that leaves nothing more.
//
// With `by_content` blocks are also found where a text holds their tokens elsewhere, behind other tokens: FindRuns, for
// engine/chunk_reuse.h.
//
// Thread-safe. The pool must outlive the cache.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/kv_pool.h"

namespace lastro::engine {

// Who may reuse a text's blocks: such as the collection that its passages are from, at the state it was read in.
struct KvScope {
  std::string name;
  int64_t version = 0;
  bool exact = true;  // else a scope of its own: what stands behind tokens reused at other positions
};

// Tokens of a text that other texts of its scope have held, and the blocks that hold them.
struct KnownRun {
  int64_t begin = 0;  // in the text
  int64_t tokens = 0;
  int64_t position = 0;  // of the first of them where they were computed
  BlockTable table;      // begins with the block of `position`

  // Without its first `count` tokens; gives back the blocks that hold no others.
  void DropFirst(int64_t count);
};

class PrefixCache {
 public:
  PrefixCache(KvPool& pool, int64_t max_bytes, bool by_content = false);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The blocks of the longest run of whole blocks that `tokens` begins with and that is known; of at most `limit`
  // tokens. From now on the scope has this version.
  BlockTable Find(const KvScope& scope, absl::Span<const int32_t> tokens, int64_t limit);

  // The runs of at least `least` tokens in tokens[from, limit) that blocks of the scope hold wherever, in order and
  // apart. A run that includes no whole block is not found. From now on the scope has this version. REQUIRES:
  // by_content.
  std::vector<KnownRun> FindRuns(const KvScope& scope, absl::Span<const int32_t> tokens, int64_t from, int64_t limit,
                                 int64_t least);

  // Keeps the whole blocks of `tokens`, which `table` begins with, unless the scope has another version by now.
  void Add(const KvScope& scope, absl::Span<const int32_t> tokens, const BlockTable& table);

  int64_t blocks() const;

 private:
  struct Node;
  using Recent = std::list<Node*>;
  using Children = std::map<std::vector<int32_t>, std::unique_ptr<Node>>;
  struct Root;
  struct Node {
    Root* root = nullptr;
    Node* parent = nullptr;  // null: the root of a scope
    Children::iterator self;
    int64_t index = 0;  // in the text
    int32_t block = -1;
    Children children;
    Recent::iterator recent;

    absl::Span<const int32_t> tokens() const { return self->first; }
  };
  struct Root {
    int64_t version = 0;
    Node node;
    std::map<std::vector<int32_t>, Node*> by_content;  // the last that was added with these tokens
  };
  struct Run;  // a KnownRun, its blocks as nodes

  Root& RootOf(const KvScope& scope) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // made where there is none
  // With the version of `scope`; where it was another, nothing is left.
  Root& Enter(const KvScope& scope) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(Node* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // by its content
  Run RunAround(Node* node, absl::Span<const int32_t> tokens, int64_t at, int64_t from, int64_t limit) const;
  // From `node` up: the root's side ends up as the most recent, so that the least recent node is always a leaf.
  void Touch(Node* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropAll(Node* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // what is below it
  // Gives back blocks until `count` have become free; false when there were none to give.
  bool GiveBack(int64_t count);

  KvPool& pool_;
  const int64_t max_blocks_;
  const bool by_content_;
  mutable absl::Mutex mutex_;
  // By name and `exact`.
  std::map<std::pair<std::string, bool>, std::unique_ptr<Root>> roots_ ABSL_GUARDED_BY(mutex_);
  Recent recent_ ABSL_GUARDED_BY(mutex_);  // the last used first
};

}  // namespace lastro::engine
