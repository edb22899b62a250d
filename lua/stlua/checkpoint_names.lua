--- Names in checkpoints of Stable Diffusion and its like that are no weights of the model, or none that anything reads.
-- Layer: Lua, above stlua.core.

local names = {}

local function set(words)
   local t = {}
   for word in words:gmatch("%S+") do t[word] = true end
   return t
end

--- Constants of the noise schedule, [1000] each.
names.schedule = set [[betas alphas_cumprod alphas_cumprod_prev sqrt_alphas_cumprod sqrt_one_minus_alphas_cumprod
   log_one_minus_alphas_cumprod sqrt_recip_alphas_cumprod sqrt_recipm1_alphas_cumprod posterior_variance
   posterior_log_variance_clipped posterior_mean_coef1 posterior_mean_coef2 logvar]]

--- Whether a model predicts v, and other things that programs look for: no weights.
names.markers = set "v_pred ztsnr edm_vpred.sigma_max edm_vpred.sigma_min edm_mean edm_std"

--- What no program that makes images reads. Beginnings of names.
names.junk = { "optimizer_states", "lr_schedulers", "callbacks", "loops", "hparams", "hyper_parameters",
   "embedding_manager.embedder.", "lora_te_text_model", "control_model.", "loss.", "denoiser.sigmas",
   "cond_stage_model.model.logit_scale", "text_encoders.t5xxl.transformer.encoder.embed_tokens.weight",
   "text_encoders.llm.lm_head." }

--- Of these, what is unread only because the model has the same under another name: a text in that name.
names.twins = { ["text_encoders.t5xxl.transformer.encoder.embed_tokens.weight"] =
   "^text_encoders%.t5xxl%.transformer%.shared%.weight$",
   ["text_encoders.llm.lm_head."] = "^text_encoders%.llm%..*embed_tokens%.weight$" }

--- Of these, what is the state of training; nobody reads the others.
names.training = set [[optimizer_states lr_schedulers callbacks loops hparams hyper_parameters
   embedding_manager.embedder.]]

-- Whether one of the model's names matches.
local function has(model, pattern)
   for i = 1, model:count() do
      if model:name(i):find(pattern) then return true end
   end
   return false
end

--- The beginnings of names that are junk in one model: not what a network of it stands behind (a ControlNet), nor what
-- it has under no other name.
-- @tparam model model
-- @tparam {table,...} parts as architectures.find gives them
function names.junk_of(model, parts)
   local taken, list = {}, {}
   for _, part in ipairs(parts) do taken[part.prefix] = true end
   for _, beginning in ipairs(names.junk) do
      local twin = names.twins[beginning]
      if not taken[beginning] and (not twin or has(model, twin)) then list[#list + 1] = beginning end
   end
   return list
end

--- Averaged weights of training (EMA) begin so.
names.ema = "model_ema."

--- What the names of a VAE begin with in a checkpoint.
names.vae = { "first_stage_model.", "vae." }

return names
