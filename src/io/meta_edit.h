/* meta_edit.h - what an edit of metadata that was interrupted leaves in a file. Layer: io. */
#ifndef ST_META_EDIT_H
#define ST_META_EDIT_H

#include "iface.h"

/* Whether a file that could not be read as safetensors is one whose metadata were being edited in place. */
bool st_meta_interrupted(st_source *src);
st_status st_meta_fail_interrupted(const char *label, st_err *err);

#endif
