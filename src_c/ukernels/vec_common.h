/* Names and the element type, from FC_F32 or FC_F64 and FC_ISA. Included by the vec headers. */
#if defined(FC_F32)
#define real float
#define FC_TYPE f32
#elif defined(FC_F64)
#define real double
#define FC_TYPE f64
#else
#error "define FC_F32 or FC_F64"
#endif
/* fc_<type>_<op>__<isa> */
#define NAME(op) FC_PASTE(FC_TYPE, op, FC_ISA)
