add_library(lastro_options INTERFACE)
target_compile_options(lastro_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-unused-parameter;-Wno-missing-field-initializers>
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-deprecated-declarations>)
target_include_directories(lastro_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(lastro_options INTERFACE LASTRO_VERSION="${PROJECT_VERSION}")
if(LASTRO_SANITIZE)
  target_compile_options(lastro_options INTERFACE -fsanitize=${LASTRO_SANITIZE} -fno-omit-frame-pointer -g1)
  target_link_options(lastro_options INTERFACE -fsanitize=${LASTRO_SANITIZE})
endif()
if(LASTRO_SANITIZE MATCHES "thread")
  add_library(lastro_tsan_abseil STATIC ${PROJECT_SOURCE_DIR}/cmake/tsan_abseil.cc)
  target_compile_options(lastro_tsan_abseil PRIVATE -fsanitize=${LASTRO_SANITIZE})
  target_link_libraries(lastro_options INTERFACE $<LINK_LIBRARY:WHOLE_ARCHIVE,lastro_tsan_abseil>)
endif()

# Headers that most files read and that take the compiler longer than the files themselves. Files include what they use
# all the same: with ccache nothing is precompiled. A target may reuse those of another with the same flags and no more
# definitions.
set(lastro_common_headers
  <algorithm> <cmath> <cstdint> <cstring> <filesystem> <functional> <limits> <map> <memory> <optional> <string> <utility>
  <vector> <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h> <absl/status/status.h>
  <absl/status/statusor.h> <absl/strings/ascii.h> <absl/strings/match.h> <absl/strings/str_cat.h>
  <absl/strings/str_format.h> <absl/strings/str_join.h> <absl/strings/string_view.h> <absl/synchronization/mutex.h>
  <absl/time/clock.h> <absl/types/span.h> <base/json.h>)
set(lastro_test_headers ${lastro_common_headers} <fstream> <sstream> <gmock/gmock.h> <gtest/gtest.h>)
set(lastro_service_headers <services/api.h> <services/proto_convert.h> <retrieval/chunk_store.h>)

# lastro_library(NAME DEPS...): one static library from every .cc of the current folder and its subfolders, but for cuda/.
# Its dependencies are what enforces the include directions; tests/unit/include_directions_test checks them too.
function(lastro_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "*.cc")
  list(FILTER sources EXCLUDE REGEX "_main\\.cc$|/cuda/")
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC lastro_options ${ARGN})
endfunction()

# lastro_test(NAME FOLDER DEPS...): one GoogleTest program from every *_test.cc below FOLDER, one CTest case each. With
# LASTRO_UNITY_TESTS several files are compiled together, which takes half as long: most of their time goes into the
# same templates. Names at their top must then differ (SKIP_UNITY_BUILD_INCLUSION excepts a file).
# LASTRO_TEST_DATA is the source folder, so that tests find goldens wherever they run.
include(GoogleTest)
function(lastro_test name folder)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${folder}/*_test.cc")
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE lastro_options ${ARGN} GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE -O1)  # the tests themselves need not be fast, but soon be built
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${LASTRO_UNITY_TESTS})
  target_compile_definitions(${name} PRIVATE LASTRO_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endfunction()
