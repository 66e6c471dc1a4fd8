// Which symbols the shared library gives away: what OLLM_API marks, and nothing else, as all is
// compiled with -fvisibility=hidden. Marked are the functions of installed headers that need no
// type which is not installed; the test `package` holds both directions.
#pragma once

#define OLLM_API __attribute__((visibility("default")))
