// TeX's names of characters, by how they are set.

function table(text) {
  return new Map(
    text
      .trim()
      .split(/\s+/)
      .map((pair) => pair.split("=")),
  );
}

export const LETTERS = table(`
  alpha=α beta=β gamma=γ delta=δ epsilon=ϵ varepsilon=ε zeta=ζ eta=η theta=θ vartheta=ϑ iota=ι
  kappa=κ lambda=λ mu=μ nu=ν xi=ξ pi=π varpi=ϖ rho=ρ varrho=ϱ sigma=σ varsigma=ς tau=τ upsilon=υ
  phi=ϕ varphi=φ chi=χ psi=ψ omega=ω Gamma=Γ Delta=Δ Theta=Θ Lambda=Λ Xi=Ξ Pi=Π Sigma=Σ Upsilon=Υ
  Phi=Φ Psi=Ψ Omega=Ω infty=∞ partial=∂ nabla=∇ hbar=ℏ ell=ℓ Re=ℜ Im=ℑ aleph=ℵ emptyset=∅
  varnothing=∅ angle=∠ triangle=△ top=⊤ bot=⊥ imath=ı jmath=ȷ wp=℘ degree=° checkmark=✓
  dots=… ldots=… cdots=⋯ vdots=⋮ ddots=⋱ square=□ Box=□ blacksquare=■ prime=′ pounds=£ S=§`);

export const OPERATORS = table(`
  times=× div=÷ cdot=⋅ ast=∗ star=⋆ circ=∘ bullet=• pm=± mp=∓ oplus=⊕ ominus=⊖ otimes=⊗ odot=⊙
  cap=∩ cup=∪ sqcap=⊓ sqcup=⊔ wedge=∧ land=∧ vee=∨ lor=∨ neg=¬ lnot=¬ setminus=∖ le=≤ leq=≤ ge=≥
  geq=≥ leqslant=⩽ geqslant=⩾ ll=≪ gg=≫ ne=≠ neq=≠ equiv=≡ approx=≈ sim=∼ simeq=≃ cong=≅
  propto=∝ asymp=≍ doteq=≐ in=∈ notin=∉ ni=∋ subset=⊂ supset=⊃ subseteq=⊆ supseteq=⊇ subsetneq=⊊
  forall=∀ exists=∃ nexists=∄ to=→ rightarrow=→ leftarrow=← gets=← leftrightarrow=↔ Rightarrow=⇒
  Leftarrow=⇐ Leftrightarrow=⇔ implies=⟹ impliedby=⟸ iff=⟺ mapsto=↦ longrightarrow=⟶
  longleftarrow=⟵ Longrightarrow=⟹ uparrow=↑ downarrow=↓ hookrightarrow=↪ rightharpoonup=⇀
  rightleftharpoons=⇌ mid=∣ nmid=∤ parallel=∥ perp=⊥ models=⊨ vdash=⊢ therefore=∴ because=∵
  colon=: lfloor=⌊ rfloor=⌋ lceil=⌈ rceil=⌉ langle=⟨ rangle=⟩ vert=| Vert=‖ lvert=| rvert=|
  lVert=‖ rVert=‖ backslash=\\ prec=≺ succ=≻ bowtie=⋈ triangleq=≜ coloneqq=≔ lbrace={ rbrace=}
  lbrack=[ rbrack=]`);

export const BIG = table(`
  sum=∑ prod=∏ coprod=∐ int=∫ iint=∬ iiint=∭ oint=∮ bigcap=⋂ bigcup=⋃ bigoplus=⨁ bigotimes=⨂
  bigwedge=⋀ bigvee=⋁ bigsqcup=⨆`);

export const FUNCTIONS = new Set(
  (
    "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf" +
    " limsup ln log max min mod Pr sec sin sinh sup tan tanh argmax argmin"
  ).split(" "),
);

export const LIMITS = new Set(
  "lim liminf limsup max min sup inf det gcd Pr argmax argmin".split(" "),
);

export const ACCENTS = table(`
  hat=^ widehat=^ bar=¯ overline=¯ tilde=~ widetilde=~ vec=→ overrightarrow=→ dot=˙ ddot=¨ check=ˇ
  breve=˘ acute=´ grave=\` overbrace=⏞`);

export const UNDERS = table("underline=_ underbrace=⏟");

export const SPACES = new Map([
  [",", "0.17em"],
  [":", "0.22em"],
  [";", "0.28em"],
  ["!", "-0.17em"],
  [" ", "0.25em"],
  ["quad", "1em"],
  ["qquad", "2em"],
  ["enspace", "0.5em"],
  ["thinspace", "0.17em"],
]);

export const FONTS = new Map([
  ["mathbb", "double-struck"],
  ["mathbf", "bold"],
  ["boldsymbol", "bold-italic"],
  ["bm", "bold-italic"],
  ["mathcal", "script"],
  ["mathscr", "script"],
  ["mathfrak", "fraktur"],
  ["mathrm", "normal"],
  ["mathsf", "sans-serif"],
  ["mathtt", "monospace"],
  ["mathit", "italic"],
  ["mathop", "normal"],
]);
