/* quant.h - quantised layouts, known by tensors that come in company. Layer: model. */
#ifndef ST_QUANT_H
#define ST_QUANT_H

#include "st.h"

/* The layout that a tensor of a model is part of ("bitsandbytes nf4"), a constant string; NULL for ordinary tensors. */
const char *st_quant_layout(const st_model *m, const char *name, size_t len);

#endif
