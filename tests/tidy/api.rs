//! The public API as the sources say it: what is reachable through `pub` from `lib.rs`, with every feature.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Attribute, ImplItem, Item, UseTree, Visibility};

use crate::tree::Tree;

pub(crate) type Path = Vec<String>;

/// One module: its items, and what its `use` lines name.
#[derive(Default)]
pub(crate) struct Module {
    pub(crate) items: Vec<Item>,
    uses: Vec<Use>,
    /// `pub mod` lines that are not hidden in the docs.
    pub(crate) children: Vec<String>,
    /// The first sentence of its own docs.
    pub(crate) line: String,
}

#[derive(Clone)]
struct Use {
    path: Path,
    /// `*` for all that is there.
    alias: String,
    public: bool,
}

/// Where something is defined, and its name.
pub(crate) type Key = (Path, String);

enum Target {
    Item(Key),
    Module,
}

#[derive(Default)]
pub(crate) struct Api {
    pub(crate) modules: BTreeMap<Path, Module>,
    /// The public methods and constants of each type.
    pub(crate) members: BTreeMap<Key, Vec<ImplItem>>,
}

/// What a module shows.
pub(crate) enum Shown {
    Item(Key),
    /// Of another crate.
    Foreign(String),
}

impl Api {
    pub(crate) fn read(tree: &Tree) -> syn::Result<Self> {
        let mut api = Self::default();
        let Some(root) = tree.files.get("src/lib.rs") else { return Ok(api) };
        api.load(tree, Vec::new(), syn::parse_file(root)?)?;
        api.gather();
        Ok(api)
    }

    fn load(&mut self, tree: &Tree, at: Path, file: syn::File) -> syn::Result<()> {
        let mut module = Module { line: first_line(&file.attrs), ..Module::default() };
        let macros: BTreeMap<String, TokenStream> = file.items.iter().filter_map(rules).collect();
        let mut items = Vec::new();
        for item in file.items {
            match &item {
                Item::Macro(call) => items.extend(expanded(call, &macros)),
                _ => items.push(item),
            }
        }
        for item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    if is_public(&inner.vis) && !is_hidden(&inner.attrs) {
                        module.children.push(name.clone());
                    }
                    let below = [at.clone(), vec![name]].concat();
                    let file = match inner.content {
                        Some((_, items)) => Some(syn::File { shebang: None, attrs: inner.attrs, items }),
                        None => file_of(tree, &below).map(syn::parse_file).transpose()?,
                    };
                    if let Some(file) = file {
                        self.load(tree, below, file)?;
                    }
                }
                Item::Use(line) if !is_hidden(&line.attrs) => {
                    flatten(&line.tree, Vec::new(), is_public(&line.vis), &mut module.uses);
                }
                item => module.items.push(item),
            }
        }
        self.modules.insert(at, module);
        Ok(())
    }

    /// Finds whose methods each `impl` block holds.
    fn gather(&mut self) {
        let mut members: BTreeMap<Key, Vec<ImplItem>> = BTreeMap::new();
        // The block beside the type comes first, whatever the order of the files.
        for beside in [true, false] {
            for (at, module) in &self.modules {
                for item in &module.items {
                    let Item::Impl(block) = item else { continue };
                    let (None, syn::Type::Path(of)) = (&block.trait_, &*block.self_ty) else { continue };
                    let path: Path = of.path.segments.iter().map(|s| s.ident.to_string()).collect();
                    let Some(Target::Item(key)) = self.find(at, &path, 0) else { continue };
                    if (key.0 == *at) != beside {
                        continue;
                    }
                    let public = block.items.iter().filter(|item| match item {
                        ImplItem::Fn(f) => is_public(&f.vis) && !is_hidden(&f.attrs),
                        ImplItem::Const(c) => is_public(&c.vis) && !is_hidden(&c.attrs),
                        _ => false,
                    });
                    members.entry(key).or_default().extend(public.cloned());
                }
            }
        }
        self.members = members;
    }

    fn find(&self, at: &[String], path: &[String], depth: usize) -> Option<Target> {
        let module = self.modules.get(at)?;
        let Some((head, rest)) = path.split_first() else { return Some(Target::Module) };
        if depth > 20 {
            return None;
        }
        match head.as_str() {
            "crate" => return self.find(&[], rest, depth + 1),
            "self" => return self.find(at, rest, depth + 1),
            "super" => return self.find(at.split_last()?.1, rest, depth + 1),
            _ => {}
        }
        if rest.is_empty() && module.items.iter().any(|item| named(item).is_some_and(|n| n == *head)) {
            return Some(Target::Item((at.to_vec(), head.clone())));
        }
        let below = [at, std::slice::from_ref(head)].concat();
        if self.modules.contains_key(&below) {
            return self.find(&below, rest, depth + 1);
        }
        let through = module.uses.iter().filter(|u| u.alias == *head).map(|u| [&u.path, rest].concat());
        let globs = module.uses.iter().filter(|u| u.alias == "*").map(|u| [&u.path, path].concat());
        through.chain(globs).find_map(|path| self.find(at, &path, depth + 1))
    }

    /// Everything public that has this module in its path, by name; modules apart.
    pub(crate) fn shown(&self, at: &[String]) -> Vec<(String, Shown)> {
        let mut found = BTreeMap::new();
        let Some(module) = self.modules.get(at) else { return Vec::new() };
        for item in &module.items {
            if let (Some(name), Some(vis)) = (named(item), visibility(item))
                && is_public(vis)
                && !is_hidden(attributes(item))
            {
                found.insert(name.clone(), Shown::Item((at.to_vec(), name)));
            }
        }
        for line in module.uses.iter().filter(|u| u.public) {
            match self.find(at, &line.path, 0) {
                Some(Target::Item(key)) => drop(found.insert(line.alias.clone(), Shown::Item(key))),
                Some(Target::Module) => {}
                None => drop(found.insert(line.alias.clone(), Shown::Foreign(line.path.join("::")))),
            }
        }
        found.into_iter().collect()
    }

    /// The public modules, the root first.
    pub(crate) fn public(&self) -> Vec<Path> {
        let mut found = vec![Vec::new()];
        let mut next = 0;
        while let Some(at) = found.get(next).cloned() {
            next += 1;
            let children = self.modules.get(&at).map(|m| m.children.clone()).unwrap_or_default();
            found.extend(children.into_iter().map(|child| [at.clone(), vec![child]].concat()));
        }
        found.sort();
        found
    }

    pub(crate) fn item(&self, key: &Key) -> Option<&Item> {
        self.modules.get(&key.0)?.items.iter().find(|item| named(item).is_some_and(|n| n == key.1))
    }

    /// Public types that two modules define under one name.
    pub(crate) fn twice(&self) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, BTreeSet<Key>> = BTreeMap::new();
        for at in self.public() {
            for (name, shown) in self.shown(&at) {
                let Shown::Item(key) = shown else { continue };
                let is_type = self.item(&key).is_some_and(|i| !matches!(i, Item::Fn(_) | Item::Const(_)));
                if is_type {
                    seen.entry(name).or_default().insert(key);
                }
            }
        }
        seen.into_iter().filter(|(_, keys)| keys.len() > 1).map(|(name, _)| name).collect()
    }
}

fn file_of<'a>(tree: &'a Tree, module: &[String]) -> Option<&'a str> {
    let path = format!("src/{}", module.join("/"));
    let text = tree.files.get(&format!("{path}.rs")).or_else(|| tree.files.get(&format!("{path}/mod.rs")));
    text.map(String::as_str)
}

fn flatten(tree: &UseTree, at: Path, public: bool, into: &mut Vec<Use>) {
    let on = |name: String| [at.clone(), vec![name]].concat();
    match tree {
        UseTree::Path(path) => flatten(&path.tree, on(path.ident.to_string()), public, into),
        UseTree::Name(name) if name.ident == "self" => {
            into.push(Use { alias: at.last().cloned().unwrap_or_default(), path: at, public });
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            into.push(Use { path: on(name.clone()), alias: name, public });
        }
        UseTree::Rename(name) => {
            into.push(Use { path: on(name.ident.to_string()), alias: name.rename.to_string(), public });
        }
        UseTree::Glob(_) => into.push(Use { path: at, alias: "*".into(), public }),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, at.clone(), public, into)),
    }
}

/// A macro of the file: its name and the body of its only rule.
fn rules(item: &Item) -> Option<(String, TokenStream)> {
    let Item::Macro(rules) = item else { return None };
    let name = rules.ident.as_ref()?.to_string();
    let body = rules.mac.tokens.clone().into_iter().filter_map(|tree| match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
        _ => None,
    });
    Some((name, body.last()?))
}

/// What a macro that makes one type makes, as far as its first argument says; the structs of a table of types.
fn expanded(call: &syn::ItemMacro, macros: &BTreeMap<String, TokenStream>) -> Vec<Item> {
    let Some(name) = call.mac.path.get_ident().map(ToString::to_string) else { return Vec::new() };
    let tokens: Vec<TokenTree> = call.mac.tokens.clone().into_iter().collect();
    if name == "types" {
        let structs = tokens.windows(3).filter_map(|three| match three {
            [TokenTree::Ident(name), TokenTree::Punct(equals), TokenTree::Literal(_)]
                if equals.as_char() == '=' =>
            {
                syn::parse_str(&format!("pub struct {name};")).ok()
            }
            _ => None,
        });
        return structs.collect();
    }
    let first = tokens.iter().find_map(|tree| match tree {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    });
    let (Some(body), Some(first)) = (macros.get(&name), first) else { return Vec::new() };
    syn::parse2::<syn::File>(filled(body.clone(), &first)).map(|file| file.items).unwrap_or_default()
}

/// A macro's body with the first argument in the place of every identifier that stands for one.
fn filled(body: TokenStream, first: &str) -> TokenStream {
    let mut out = TokenStream::new();
    let mut trees = body.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(dollar) if dollar.as_char() == '$' => match trees.next() {
                Some(TokenTree::Ident(name)) if name == "name" => {
                    out.extend([TokenTree::Ident(proc_macro2::Ident::new(first, name.span()))]);
                }
                Some(TokenTree::Ident(_)) => {
                    out.extend([TokenTree::Literal(proc_macro2::Literal::string(""))]);
                }
                // Repeated: attributes. What says how often goes too.
                _ => drop(trees.next()),
            },
            TokenTree::Group(group) => {
                let inner = filled(group.stream(), first);
                out.extend([TokenTree::Group(proc_macro2::Group::new(group.delimiter(), inner))]);
            }
            tree => out.extend([tree]),
        }
    }
    out
}

fn named(item: &Item) -> Option<String> {
    Some(match item {
        Item::Struct(i) => i.ident.to_string(),
        Item::Enum(i) => i.ident.to_string(),
        Item::Trait(i) => i.ident.to_string(),
        Item::Type(i) => i.ident.to_string(),
        Item::Fn(i) => i.sig.ident.to_string(),
        Item::Const(i) => i.ident.to_string(),
        Item::Static(i) => i.ident.to_string(),
        Item::Union(i) => i.ident.to_string(),
        _ => return None,
    })
}

fn visibility(item: &Item) -> Option<&Visibility> {
    Some(match item {
        Item::Struct(i) => &i.vis,
        Item::Enum(i) => &i.vis,
        Item::Trait(i) => &i.vis,
        Item::Type(i) => &i.vis,
        Item::Fn(i) => &i.vis,
        Item::Const(i) => &i.vis,
        Item::Static(i) => &i.vis,
        Item::Union(i) => &i.vis,
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Struct(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Const(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Union(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

pub(crate) fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

fn is_hidden(attrs: &[Attribute]) -> bool {
    has(attrs, "doc", "hidden")
}

fn is_for_tests(attrs: &[Attribute]) -> bool {
    has(attrs, "cfg", "test")
}

/// Whether there is `#[name(word)]`.
fn has(attrs: &[Attribute], name: &str, word: &str) -> bool {
    attrs.iter().filter(|a| a.path().is_ident(name)).any(|a| match &a.meta {
        syn::Meta::List(list) => list.tokens.to_string() == word,
        _ => false,
    })
}

/// The first sentence of what the docs say.
pub(crate) fn first_line(attrs: &[Attribute]) -> String {
    let docs = attrs.iter().filter_map(|a| match &a.meta {
        syn::Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                Some(text.value().trim().to_owned())
            }
            _ => None,
        },
        _ => None,
    });
    let text: Vec<String> = docs.take_while(|line| !line.is_empty()).collect();
    let text = text.join(" ");
    text.split_once(". ").map_or(text.clone(), |(first, _)| format!("{first}."))
}
