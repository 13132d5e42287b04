#include "retrieval/page_sums.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/file_system.h"
#include "base/hash.h"
#include "base/status_macros.h"

namespace lastro::retrieval {
namespace {

constexpr absl::string_view kMagic = "LASTRO-SUMS 1\n";
constexpr int kPageSizeAt = 16;
constexpr int kIdentityBytes = 24;  // what the hash after them is of
constexpr int kNotesAt = 32;
constexpr int kNoteBytes = 16;
constexpr int kHeaderBytes = 64;
constexpr int kSumBytes = 8;
constexpr int kSmallestPage = 512;
constexpr int64_t kLockByte = 0x40000000;  // the page at it is never used

// File controls of our own; SQLite leaves numbers this large alone.
constexpr int kVerifyPages = 0x4C535401;
constexpr int kWriteNote = 0x4C535402;
constexpr int kReadNote = 0x4C535403;
constexpr int kFindDiffering = 0x4C535404;
constexpr int kPaceWrites = 0x4C535405;

struct NoteArgument {
  Note note;
  int64_t value;
  int64_t offset() const { return kNotesAt + kNoteBytes * static_cast<int64_t>(note); }
};

std::string Bytes64(uint64_t value) { return std::string(reinterpret_cast<const char*>(&value), sizeof(value)); }

uint64_t SumOf(int64_t page, absl::string_view bytes) {
  uint64_t sum = Hash64(bytes) + 0x9E3779B97F4A7C15u * static_cast<uint64_t>(page);
  return sum == 0 ? 1 : sum;  // 0: never written
}

bool Fits(int64_t page, absl::string_view bytes, uint64_t sum) {
  if (sum != 0) return SumOf(page, bytes) == sum;
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
}

std::string IdentityBytes(uint32_t page_size) {
  std::string bytes(kMagic);
  bytes.resize(kIdentityBytes);
  std::memcpy(&bytes[kPageSizeAt], &page_size, sizeof(page_size));
  return bytes + Bytes64(Hash64(bytes));
}

std::string NoteBytes(int64_t value) {
  std::string bytes = Bytes64(static_cast<uint64_t>(value));
  return bytes + Bytes64(Hash64(bytes));
}

// 0 unless `header` is the beginning of a file of sums.
uint32_t PageSizeIn(absl::string_view header) {
  uint32_t page_size = 0;
  if (header.size() < kHeaderBytes) return 0;
  std::memcpy(&page_size, header.data() + kPageSizeAt, sizeof(page_size));
  return header.substr(0, kIdentityBytes + kSumBytes) == IdentityBytes(page_size) ? page_size : 0;
}

// The page size that a database's header (its first 100 bytes) tells, 0 when it is none.
uint32_t DatabasePageSize(absl::string_view header) {
  if (header.size() < 100 || header.substr(0, 15) != "SQLite format 3") return 0;
  uint32_t size = static_cast<uint8_t>(header[16]) << 8 | static_cast<uint8_t>(header[17]);
  return size == 1 ? 65536 : size;
}

// --- One file: SQLite allocates it, so it is plain data.

struct SummedFile {
  sqlite3_file base;   // first: SQLite sees this
  sqlite3_file* real;  // of the default VFS
  sqlite3_file* sums;  // null: not the database itself, or without sums
  const char* sums_name;
  int64_t page_size;  // 0: nothing was written yet
  bool verify;
  bool sums_changed;  // since the latest sync
  const std::function<void(int64_t)>* pace;
};

SummedFile* Of(sqlite3_file* file) { return reinterpret_cast<SummedFile*>(file); }
sqlite3_file* Real(sqlite3_file* file) { return Of(file)->real; }

int ReadAll(sqlite3_file* file, std::string* bytes, int64_t offset) {
  return file->pMethods->xRead(file, bytes->data(), static_cast<int>(bytes->size()), offset);  // pads with zeros
}

int WriteAll(sqlite3_file* file, absl::string_view bytes, int64_t offset) {
  return file->pMethods->xWrite(file, bytes.data(), static_cast<int>(bytes.size()), offset);
}

// A short read of the sums is of pages that were never written; `bytes` is filled up with zeros.
int ReadSums(sqlite3_file* sums, std::string* bytes, int64_t offset) {
  int code = ReadAll(sums, bytes, offset);
  return code == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : code;
}

int64_t SumAt(int64_t page) { return kHeaderBytes + (page - 1) * kSumBytes; }

int WriteSum(SummedFile* file, int64_t page, absl::string_view bytes) {
  file->sums_changed = true;
  return WriteAll(file->sums, Bytes64(SumOf(page, bytes)), SumAt(page));
}

int CheckPage(SummedFile* file, absl::string_view bytes, int64_t offset) {
  int64_t size = static_cast<int64_t>(bytes.size());
  // A glance at the header, or at page 1 by who does not know the page size yet.
  if (size < kSmallestPage || file->page_size == 0 || (offset == 0 && size != file->page_size)) return SQLITE_OK;
  if (size != file->page_size || offset % size != 0) return SQLITE_IOERR_DATA;
  int64_t page = offset / size + 1;
  std::string stored(kSumBytes, '\0');
  if (int code = ReadSums(file->sums, &stored, SumAt(page)); code != SQLITE_OK) return code;
  uint64_t sum = 0;
  std::memcpy(&sum, stored.data(), sizeof(sum));
  if (Fits(page, bytes, sum)) return SQLITE_OK;
  sqlite3_log(SQLITE_IOERR_DATA, "page %lld differs from its checksum", static_cast<long long>(page));
  return SQLITE_IOERR_DATA;
}

int Read(sqlite3_file* base, void* out, int amount, sqlite3_int64 offset) {
  SummedFile* file = Of(base);
  int code = file->real->pMethods->xRead(file->real, out, amount, offset);
  if ((code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) || file->sums == nullptr || !file->verify) return code;
  // What lies beyond the end comes as zeros, which is right for pages that were never written and no others.
  int check = CheckPage(file, absl::string_view(static_cast<const char*>(out), static_cast<size_t>(amount)), offset);
  return check == SQLITE_OK ? code : check;
}

int Write(sqlite3_file* base, const void* data, int amount, sqlite3_int64 offset) {
  SummedFile* file = Of(base);
  int code = file->real->pMethods->xWrite(file->real, data, amount, offset);
  if (code != SQLITE_OK || file->sums == nullptr || amount < kSmallestPage) return code;
  if (file->page_size == 0) {
    file->page_size = amount;
    code = WriteAll(file->sums, IdentityBytes(static_cast<uint32_t>(amount)), 0);
    if (code != SQLITE_OK) return code;
  }
  if (amount != file->page_size || offset % amount != 0) return SQLITE_IOERR_WRITE;
  code = WriteSum(file, offset / amount + 1,
                  absl::string_view(static_cast<const char*>(data), static_cast<size_t>(amount)));
  if (file->pace != nullptr) (*file->pace)(amount);
  return code;
}

int Truncate(sqlite3_file* base, sqlite3_int64 size) {
  SummedFile* file = Of(base);
  int code = file->real->pMethods->xTruncate(file->real, size);
  if (code != SQLITE_OK || file->sums == nullptr || file->page_size == 0) return code;
  sqlite3_int64 now = 0;
  int64_t end = SumAt(size / file->page_size + 1);
  code = file->sums->pMethods->xFileSize(file->sums, &now);
  if (code != SQLITE_OK || now <= end) return code;
  file->sums_changed = true;
  return file->sums->pMethods->xTruncate(file->sums, end);
}

int Sync(sqlite3_file* base, int flags) {
  SummedFile* file = Of(base);
  int code = file->real->pMethods->xSync(file->real, flags);
  if (code != SQLITE_OK || !file->sums_changed) return code;
  code = file->sums->pMethods->xSync(file->sums, flags);
  file->sums_changed = code != SQLITE_OK;
  return code;
}

int ReadNote(SummedFile* file, NoteArgument* argument) {
  std::string bytes(kNoteBytes, '\0');
  int code = ReadSums(file->sums, &bytes, argument->offset());
  std::memcpy(&argument->value, bytes.data(), sizeof(argument->value));
  if (code != SQLITE_OK || bytes != NoteBytes(argument->value)) argument->value = 0;
  return code;
}

int FindDiffering(SummedFile* file, std::vector<DifferingPage>* differing) {
  if (file->sums == nullptr || file->page_size == 0) return SQLITE_OK;
  sqlite3_int64 size = 0;
  if (int code = file->real->pMethods->xFileSize(file->real, &size); code != SQLITE_OK) return code;
  std::string bytes(static_cast<size_t>(file->page_size), '\0'), stored(kSumBytes, '\0');
  for (int64_t page = 1; page * file->page_size <= size; ++page) {
    const int64_t offset = (page - 1) * file->page_size;
    if (offset <= kLockByte && kLockByte < offset + file->page_size) continue;
    int code = ReadAll(file->sums, &stored, SumAt(page));
    if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) return code;
    uint64_t sum = 0;
    if (code == SQLITE_OK) std::memcpy(&sum, stored.data(), sizeof(sum));  // half a sum is none
    // A page that the disk does not give is one that differs.
    if (ReadAll(file->real, &bytes, offset) != SQLITE_OK || !Fits(page, bytes, sum)) {
      differing->push_back({page, sum != 0});
    }
  }
  return SQLITE_OK;
}

int FileControl(sqlite3_file* base, int operation, void* argument) {
  SummedFile* file = Of(base);
  switch (operation) {
    case kVerifyPages:
      file->verify = *static_cast<bool*>(argument);
      return SQLITE_OK;
    case kWriteNote: {
      auto* note = static_cast<NoteArgument*>(argument);
      return file->sums == nullptr ? SQLITE_OK : WriteAll(file->sums, NoteBytes(note->value), note->offset());
    }
    case kReadNote:
      return file->sums == nullptr ? SQLITE_OK : ReadNote(file, static_cast<NoteArgument*>(argument));
    case kPaceWrites:
      file->pace = static_cast<const std::function<void(int64_t)>*>(argument);
      return SQLITE_OK;
    case kFindDiffering:
      return FindDiffering(file, static_cast<std::vector<DifferingPage>*>(argument));
    default:
      return file->real->pMethods->xFileControl(file->real, operation, argument);
  }
}

int CloseAndFree(sqlite3_file* file) {
  if (file == nullptr) return SQLITE_OK;
  int code = file->pMethods != nullptr ? file->pMethods->xClose(file) : SQLITE_OK;
  sqlite3_free(file);
  return code;
}

int Close(sqlite3_file* base) {
  SummedFile* file = Of(base);
  (void)CloseAndFree(file->sums);
  if (file->sums_name != nullptr) sqlite3_free_filename(file->sums_name);
  return CloseAndFree(file->real);
}

// What only passes on.
int FileSize(sqlite3_file* f, sqlite3_int64* size) { return Real(f)->pMethods->xFileSize(Real(f), size); }
int Lock(sqlite3_file* f, int level) { return Real(f)->pMethods->xLock(Real(f), level); }
int Unlock(sqlite3_file* f, int level) { return Real(f)->pMethods->xUnlock(Real(f), level); }
int CheckReservedLock(sqlite3_file* f, int* out) { return Real(f)->pMethods->xCheckReservedLock(Real(f), out); }
int SectorSize(sqlite3_file* f) { return Real(f)->pMethods->xSectorSize(Real(f)); }
int DeviceCharacteristics(sqlite3_file* f) { return Real(f)->pMethods->xDeviceCharacteristics(Real(f)); }
int ShmMap(sqlite3_file* f, int region, int size, int extend, void volatile** out) {
  return Real(f)->pMethods->xShmMap(Real(f), region, size, extend, out);
}
int ShmLock(sqlite3_file* f, int offset, int n, int flags) {
  return Real(f)->pMethods->xShmLock(Real(f), offset, n, flags);
}
void ShmBarrier(sqlite3_file* f) { Real(f)->pMethods->xShmBarrier(Real(f)); }
int ShmUnmap(sqlite3_file* f, int remove) { return Real(f)->pMethods->xShmUnmap(Real(f), remove); }

// Version 2: without memory maps, which would go round Read.
constexpr sqlite3_io_methods kMethods = {2,
                                         Close,
                                         Read,
                                         Write,
                                         Truncate,
                                         Sync,
                                         FileSize,
                                         Lock,
                                         Unlock,
                                         CheckReservedLock,
                                         FileControl,
                                         SectorSize,
                                         DeviceCharacteristics,
                                         ShmMap,
                                         ShmLock,
                                         ShmBarrier,
                                         ShmUnmap,
                                         nullptr,
                                         nullptr};

// --- Opening

sqlite3_vfs* DefaultVfs() { return sqlite3_vfs_find(nullptr); }

int OpenWith(sqlite3_vfs* vfs, const char* name, int flags, int* out_flags, sqlite3_file** file) {
  *file = static_cast<sqlite3_file*>(sqlite3_malloc(vfs->szOsFile));
  if (*file == nullptr) return SQLITE_NOMEM;
  std::memset(*file, 0, static_cast<size_t>(vfs->szOsFile));
  int code = vfs->xOpen(vfs, name, *file, flags, out_flags);
  if (code == SQLITE_OK) return code;
  CloseAndFree(*file);
  *file = nullptr;
  return code;
}

// Sums of a database's pages as they are. The header comes last: what was begun is begun again.
int MakeSums(sqlite3_file* database, sqlite3_file* sums, int64_t page_size, int64_t pages) {
  std::string page(static_cast<size_t>(page_size), '\0');
  for (int64_t number = 1; number <= pages; ++number) {
    int code = ReadSums(database, &page, (number - 1) * page_size);
    if (code == SQLITE_OK) code = WriteAll(sums, Bytes64(SumOf(number, page)), SumAt(number));
    if (code != SQLITE_OK) return code;
  }
  int code = sums->pMethods->xSync(sums, SQLITE_SYNC_NORMAL);
  if (code == SQLITE_OK) code = WriteAll(sums, IdentityBytes(static_cast<uint32_t>(page_size)), 0);
  return code == SQLITE_OK ? sums->pMethods->xSync(sums, SQLITE_SYNC_NORMAL) : code;
}

// Learns the page size; makes the sums when there are none and `make` is true, else lets them be.
int AttachSums(SummedFile* file, bool make) {
  std::string header(kHeaderBytes, '\0');
  if (int code = ReadSums(file->sums, &header, 0); code != SQLITE_OK) return code;
  file->page_size = PageSizeIn(header);
  if (file->page_size != 0) return SQLITE_OK;
  sqlite3_int64 size = 0;
  std::string database(100, '\0');
  int code = file->real->pMethods->xFileSize(file->real, &size);
  if (code == SQLITE_OK) code = ReadSums(file->real, &database, 0);
  if (code != SQLITE_OK || size == 0) return code;
  int64_t page_size = DatabasePageSize(database);
  if (make && page_size >= kSmallestPage) {
    file->page_size = page_size;
    // Where the identity is damaged, and nothing else may be, the sums behind it still tell.
    const bool begun_only = header.substr(0, kIdentityBytes + kSumBytes).find_first_not_of('\0') == std::string::npos;
    if (!begun_only) return WriteAll(file->sums, IdentityBytes(static_cast<uint32_t>(page_size)), 0);
    return MakeSums(file->real, file->sums, page_size, size / page_size);
  }
  (void)CloseAndFree(file->sums);  // no database, which SQLite will say, or a reader of one without sums
  file->sums = nullptr;
  return SQLITE_OK;
}

int OpenSums(SummedFile* file, sqlite3_vfs* vfs, const char* name, int flags) {
  bool create = (flags & SQLITE_OPEN_CREATE) != 0;
  file->sums_name = sqlite3_create_filename(PageSumsFile(name).c_str(), "", "", 0, nullptr);
  if (file->sums_name == nullptr) return SQLITE_NOMEM;
  int access = flags & (SQLITE_OPEN_READONLY | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  int code = OpenWith(vfs, file->sums_name, access | SQLITE_OPEN_WAL, nullptr, &file->sums);
  if ((code & 0xFF) == SQLITE_CANTOPEN && !create) return SQLITE_OK;
  return code == SQLITE_OK ? AttachSums(file, create) : code;
}

int Open(sqlite3_vfs*, const char* name, sqlite3_file* base, int flags, int* out_flags) {
  SummedFile* file = new (base) SummedFile();
  file->verify = true;
  sqlite3_vfs* vfs = DefaultVfs();
  int code = OpenWith(vfs, name, flags, out_flags, &file->real);
  if (code == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) != 0 && name != nullptr) {
    code = OpenSums(file, vfs, name, flags);
  }
  if (code != SQLITE_OK) {
    Close(base);
  } else {
    base->pMethods = &kMethods;
  }
  return code;
}

int Delete(sqlite3_vfs*, const char* name, int sync) { return DefaultVfs()->xDelete(DefaultVfs(), name, sync); }
int Access(sqlite3_vfs*, const char* name, int flags, int* out) {
  return DefaultVfs()->xAccess(DefaultVfs(), name, flags, out);
}
int FullPathname(sqlite3_vfs*, const char* name, int size, char* out) {
  return DefaultVfs()->xFullPathname(DefaultVfs(), name, size, out);
}
int Randomness(sqlite3_vfs*, int size, char* out) { return DefaultVfs()->xRandomness(DefaultVfs(), size, out); }
int Sleep(sqlite3_vfs*, int microseconds) { return DefaultVfs()->xSleep(DefaultVfs(), microseconds); }
int CurrentTime(sqlite3_vfs*, double* now) { return DefaultVfs()->xCurrentTime(DefaultVfs(), now); }
int GetLastError(sqlite3_vfs*, int size, char* out) { return DefaultVfs()->xGetLastError(DefaultVfs(), size, out); }
int CurrentTimeInt64(sqlite3_vfs*, sqlite3_int64* now) { return DefaultVfs()->xCurrentTimeInt64(DefaultVfs(), now); }

int Register() {
  static sqlite3_vfs vfs = {};
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(SummedFile);
  vfs.mxPathname = DefaultVfs()->mxPathname;
  vfs.zName = kPageSumsVfs;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  vfs.xAccess = Access;
  vfs.xFullPathname = FullPathname;
  vfs.xRandomness = Randomness;
  vfs.xSleep = Sleep;
  vfs.xCurrentTime = CurrentTime;
  vfs.xGetLastError = GetLastError;
  vfs.xCurrentTimeInt64 = CurrentTimeInt64;
  return sqlite3_vfs_register(&vfs, /*makeDflt=*/0);
}

}  // namespace

absl::Status RegisterPageSums() {
  static const int code = Register();
  if (code == SQLITE_OK) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("store: cannot register with SQLite: ", sqlite3_errstr(code)));
}

std::string PageSumsFile(const std::string& database) { return database + "-sums"; }

void VerifyPages(sqlite3* db, bool on) { (void)sqlite3_file_control(db, "main", kVerifyPages, &on); }

void PaceWrites(sqlite3* db, const std::function<void(int64_t bytes)>* pace) {
  (void)sqlite3_file_control(db, "main", kPaceWrites, const_cast<std::function<void(int64_t)>*>(pace));
}

void WriteNote(sqlite3* db, Note note, int64_t value) {
  NoteArgument argument{note, value};
  (void)sqlite3_file_control(db, "main", kWriteNote, &argument);
}

int64_t ReadNote(sqlite3* db, Note note) {
  NoteArgument argument{note, 0};
  (void)sqlite3_file_control(db, "main", kReadNote, &argument);
  return argument.value;
}

absl::StatusOr<std::vector<DifferingPage>> DifferingPages(sqlite3* db) {
  std::vector<DifferingPage> differing;
  int code = sqlite3_file_control(db, "main", kFindDiffering, &differing);
  if (code == SQLITE_OK) return differing;
  return absl::DataLossError(absl::StrCat("store ", sqlite3_db_filename(db, "main"), ": cannot read its checksums: ",
                                          sqlite3_errstr(code), "; restore a backup ('lastro store restore')"));
}

absl::Status RemakePageSums(const std::string& database) {
  LASTRO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(database));
  absl::string_view pages = file.view();
  uint32_t page_size = DatabasePageSize(pages);
  if (page_size < kSmallestPage) return absl::DataLossError(absl::StrCat(database, " is no database"));
  std::string sums = IdentityBytes(page_size);
  sums.resize(kHeaderBytes);
  for (int64_t page = 1; static_cast<uint64_t>(page) * page_size <= pages.size(); ++page) {
    sums += Bytes64(SumOf(page, pages.substr(static_cast<size_t>(page - 1) * page_size, page_size)));
  }
  return WriteFileAtomically(PageSumsFile(database), sums);
}

}  // namespace lastro::retrieval
