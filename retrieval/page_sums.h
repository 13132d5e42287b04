// Checksums of a database's pages. SQLite reads whatever the disk gives it: a flipped bit in a text or a page of an
// older copy is an answer like any other. An SQLite VFS over the default one keeps a checksum of every page in a file
// beside the database, "<database>-sums", and compares each page that is read: what differs is SQLITE_IOERR_DATA
// (DATA_LOSS). It also keeps two notes, of which store_identity.h makes use. Thread-safe, as SQLite's connections are;
// usable from several processes.
//
// Format, little endian: bytes 0..13 "LASTRO-SUMS 1\n", 16 uint32 page size, 24 uint64 hash of bytes 0..23; the notes,
// each a uint64 and a uint64 hash of it, at 32 (writes) and 48 (store); from 64 on a uint64 for each page, 0 for one
// that was never written.
//
// A checkpoint writes a page and its sum before it syncs both, and until then the page is read from the log, which was
// synced before: after a crash a sum that does not fit belongs to a page that the log still has. Notes are made of what
// is durable already and are not synced, so that they are never ahead of what is there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;

namespace lastro::retrieval {

inline constexpr char kPageSumsVfs[] = "lastro";

// Registers the VFS of that name, once. A connection that may create the database also makes the sums of one that has
// none (of an earlier version, or copied without them) from the pages as they are.
absl::Status RegisterPageSums();

std::string PageSumsFile(const std::string& database);

// Of a connection of that VFS: whether pages are compared when they are read (they are, unless told otherwise).
void VerifyPages(sqlite3* db, bool on);

// Of a connection of that VFS: from now on calls (*pace)(bytes) after each page that it writes into the database, so
// that a checkpoint can be slowed down; null: no more. Not owned.
void PaceWrites(sqlite3* db, const std::function<void(int64_t bytes)>* pace);

enum class Note { kWrites, kStore };
// Best effort: a failure leaves what was noted before.
void WriteNote(sqlite3* db, Note note, int64_t value);
int64_t ReadNote(sqlite3* db, Note note);  // 0: none

struct DifferingPage {
  int64_t page = 0;      // from 1
  bool has_sum = false;  // else the file of sums has lost it, or there is none: the page may be as it should
};
// Of a connection of that VFS, by which the pages are read. REQUIRES: the log is empty.
absl::StatusOr<std::vector<DifferingPage>> DifferingPages(sqlite3* db);

// Makes the sums anew from the pages as they are, without notes. REQUIRES: no connection is open.
absl::Status RemakePageSums(const std::string& database);

}  // namespace lastro::retrieval
