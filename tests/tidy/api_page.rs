//! `docs/api.md`: the public API in the fewest words that still say how it is called.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{Fields, FnArg, GenericParam, Generics, ImplItem, Item, ReturnType, Signature, TraitItem, Type};

use crate::api::{Api, Key, Path, Shown, is_public};
use crate::tree::{Finding, Tree};

pub(crate) const PAGE: &str = "docs/api.md";
/// How to write it again.
pub(crate) const RENEW: &str = "RENEW_API=1 cargo test --test tidy";
/// One screen, of a module as large as `event` is.
const MODULE_LINES: usize = 70;
const COLUMNS: usize = 100;
const SIDE_BY_SIDE: &str = "  |  ";

const HEAD: &str = "\
# The public API

Everything that is reachable through `pub` from `src/lib.rs`, with every feature. `cargo doc --open` explains it; this page
shows it, one screen a module. It is made from the sources: `RENEW_API=1 cargo test --test tidy` writes it, and
`cargo test --test tidy` fails when it is not true.

How to read it:

- `verb[_async]` is a blocking verb and its async form, with the same arguments and the same answer. `async verb` has
  no blocking form.
- `~T` is an argument of anything that becomes a `T` (`TryInto`, `Into`, `AsRef`). `self` is left out.
- A method without an arrow returns its own type when it is a setter of a builder, and nothing otherwise.
- `..` in a struct or an enum says that there may be more one day (`#[non_exhaustive]`).
- An argument has a name where its type does not say what it is. Types of fields, and the traits that a type implements,
  are in `cargo doc`.
";

/// The page as the sources have it.
pub(crate) fn page(api: &Api) -> String {
    let mut page = HEAD.to_owned();
    let mut told = BTreeSet::new();
    let mut root = None;
    for at in api.public() {
        if at.is_empty() {
            root = Some(at);
            continue;
        }
        let payloads = at.starts_with(&["event".to_owned(), "payload".to_owned()]);
        if payloads && at.len() > 2 {
            continue;
        }
        section(&mut page, api, &at, &mut told);
    }
    if let Some(at) = root {
        let names = api.shown(&at).into_iter().map(|(name, shown)| match shown {
            Shown::Item(_) => name,
            Shown::Foreign(path) => path,
        });
        page += "\n## `retold`\n\nAt the root of the crate, for those who need nothing else:\n\n```text\n";
        wrap(&mut page, "", &names.collect::<Vec<_>>(), ", ");
        page += "```\n";
    }
    page
}

fn section(page: &mut String, api: &Api, at: &Path, told: &mut BTreeSet<Key>) {
    let line = api.modules.get(at).map_or("", |module| &module.line);
    if api.shown(at).is_empty() {
        return;
    }
    let _ = write!(page, "\n## `retold::{}`\n\n{line}\n\n```text\n", at.join("::"));
    for (ty, names) in constants(api, at) {
        wrap(page, &format!("const {ty}: "), &names, ", ");
    }
    for (name, shown) in api.shown(at) {
        match shown {
            Shown::Item(key) if matches!(api.item(&key), Some(Item::Const(_))) => {}
            Shown::Foreign(path) => wrap(page, "", &[format!("use {path}")], ""),
            Shown::Item(key) if told.insert(key.clone()) => {
                let mut text = String::new();
                entry(&mut text, api, &key);
                add(page, &text);
            }
            Shown::Item(key) => {
                wrap(page, "", &[format!("{name} is that of retold::{}", key.0.join("::"))], "")
            }
        }
    }
    if at.len() == 2 && at.ends_with(&["payload".to_owned()]) {
        for domain in api.public().iter().filter(|p| p.len() == 3 && p.starts_with(at)) {
            let names: Vec<String> = api.shown(domain).into_iter().map(|(name, _)| name).collect();
            wrap(page, &format!("{}: ", domain.last().map_or("", |d| d)), &names, ", ");
        }
    }
    *page += "```\n";
}

/// Those of one type together.
fn constants(api: &Api, at: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for (name, shown) in api.shown(at) {
        if let Shown::Item(key) = shown
            && let Some(Item::Const(constant)) = api.item(&key)
        {
            found.entry(text(&constant.ty)).or_default().push(name);
        }
    }
    found
}

fn entry(page: &mut String, api: &Api, key: &Key) {
    let Some(item) = api.item(key) else { return };
    let members = api.members.get(key).map(Vec::as_slice).unwrap_or_default();
    let mut parts = Vec::new();
    let head = match item {
        Item::Struct(i) => {
            let fields = fields(&i.fields, is_open(&i.attrs));
            format!(
                "struct {}{}{}",
                i.ident,
                generics(&i.generics),
                if fields.is_empty() { String::new() } else { format!(" {fields}") }
            )
        }
        Item::Enum(i) => {
            let mut variants: Vec<String> = i.variants.iter().map(variant).collect();
            if is_open(&i.attrs) {
                variants.push("..".into());
            }
            format!("enum {}{} {{ {} }}", i.ident, generics(&i.generics), variants.join(", "))
        }
        Item::Trait(i) => {
            parts.extend(i.items.iter().filter_map(|item| match item {
                TraitItem::Fn(f) => Some(signature(&f.sig)),
                TraitItem::Type(t) => Some(format!("type {}", t.ident)),
                TraitItem::Const(c) => Some(format!("const {}: {}", c.ident, text(&c.ty))),
                _ => None,
            }));
            format!("trait {}{}", i.ident, generics(&i.generics))
        }
        Item::Type(i) => format!("type {}{} = {}", i.ident, generics(&i.generics), text(&i.ty)),
        Item::Fn(i) => format!("fn {}", signature(&i.sig)),
        Item::Static(i) => format!("static {}: {}", i.ident, text(&i.ty)),
        _ => return,
    };
    parts.extend(methods(members));
    let head = if parts.is_empty() { head } else { format!("{head}: ") };
    let parts = if parts.is_empty() { vec![String::new()] } else { parts };
    wrap(page, &head, &parts, "; ");
}

fn signatures(members: &[ImplItem]) -> Vec<&Signature> {
    members
        .iter()
        .filter_map(|member| match member {
            ImplItem::Fn(f) => Some(&f.sig),
            _ => None,
        })
        .collect()
}

/// Constants, then methods, a verb and its async form as one.
fn methods(members: &[ImplItem]) -> Vec<String> {
    let fns = signatures(members);
    let twin = |sig: &Signature| {
        let name = format!("{}_async", sig.ident);
        fns.iter().find(|other| other.ident == name).is_some_and(|other| same(sig, other))
    };
    let mut out: Vec<String> = members
        .iter()
        .filter_map(|m| match m {
            ImplItem::Const(c) => Some(format!("{}: {}", c.ident, text(&c.ty))),
            _ => None,
        })
        .collect();
    for sig in &fns {
        let name = sig.ident.to_string();
        let of = name.strip_suffix("_async").and_then(|verb| fns.iter().find(|other| other.ident == verb));
        if of.is_some_and(|verb| same(verb, sig)) {
            continue;
        }
        let told = signature(sig);
        match twin(sig) {
            true => out.push(told.replacen(&name, &format!("{name}[_async]"), 1)),
            false => out.push(told),
        }
    }
    out
}

/// Whether an async form has the arguments and the answer of its verb. What a callback of an async form has to be beyond that is in the rule.
fn same(verb: &Signature, form: &Signature) -> bool {
    let plain = |sig: &Signature| {
        let told = signature(sig).replace(" + Send + 'static", "");
        told.split_once('(').map(|(_, rest)| rest.to_owned())
    };
    form.asyncness.is_some() && plain(verb) == plain(form)
}

/// Async forms of a type that have no verb with their arguments.
pub(crate) fn uneven(api: &Api) -> Vec<String> {
    let mut found = Vec::new();
    for (key, members) in &api.members {
        let fns = signatures(members);
        for form in fns.iter().filter(|f| f.ident.to_string().ends_with("_async")) {
            let name = form.ident.to_string();
            let verb = fns.iter().find(|f| Some(f.ident.to_string().as_str()) == name.strip_suffix("_async"));
            if !verb.is_some_and(|verb| same(verb, form)) {
                found.push(format!("{}::{name}", key.1));
            }
        }
    }
    found
}

fn signature(sig: &Signature) -> String {
    let stands_for = |name: &str| bound(&sig.generics, name);
    let plain = sig.inputs.iter().filter(|arg| matches!(arg, FnArg::Typed(_))).count();
    let mut args = Vec::new();
    for arg in &sig.inputs {
        let FnArg::Typed(arg) = arg else { continue };
        let ty = argument(&arg.ty, &stands_for);
        let says_it = ty.trim_start_matches(['~', '&']).starts_with(char::is_uppercase);
        args.push(match says_it || plain == 1 {
            true => ty,
            false => format!("{}: {ty}", text(&arg.pat).trim_start_matches("mut ")),
        });
    }
    let answer = match &sig.output {
        ReturnType::Default => String::new(),
        ReturnType::Type(_, ty) if text(ty) == "Self" && takes_self(sig) => String::new(),
        ReturnType::Type(_, ty) => format!(" -> {}", text(ty)),
    };
    let is_form = sig.ident.to_string().ends_with("_async");
    let word = if sig.asyncness.is_some() && !is_form { "async " } else { "" };
    format!("{word}{}({}){answer}", sig.ident, args.join(", "))
}

fn takes_self(sig: &Signature) -> bool {
    matches!(sig.inputs.first(), Some(FnArg::Receiver(me)) if me.reference.is_none())
}

/// What a generic parameter has to be, in words of a type.
fn bound(generics: &Generics, name: &str) -> Option<String> {
    let param = generics.params.iter().find_map(|p| match p {
        GenericParam::Type(t) if t.ident == name => Some(t),
        _ => None,
    })?;
    let clauses = generics.where_clause.iter().flat_map(|w| &w.predicates).filter_map(|p| match p {
        syn::WherePredicate::Type(t) if text(&t.bounded_ty) == name => Some(&t.bounds),
        _ => None,
    });
    let mut all: Vec<String> = param.bounds.iter().map(text).collect();
    all.extend(clauses.flat_map(|bounds| bounds.iter().map(text)));
    (!all.is_empty()).then(|| all.join(" + "))
}

fn argument(ty: &Type, stands_for: &dyn Fn(&str) -> Option<String>) -> String {
    let told = text(ty);
    let told = match (stands_for(&told), told.strip_prefix("impl ")) {
        (Some(bound), _) => bound,
        (None, Some(bound)) => bound.to_owned(),
        (None, None) => return told,
    };
    for conversion in ["TryInto<", "Into<", "AsRef<"] {
        if let Some(inner) = told.strip_prefix(conversion).and_then(|t| t.strip_suffix('>')) {
            return format!("~{inner}");
        }
    }
    format!("impl {told}")
}

fn fields(fields: &Fields, open: bool) -> String {
    let public: Vec<String> = match fields {
        Fields::Named(named) => {
            let public = named.named.iter().filter(|f| is_public(&f.vis));
            public.filter_map(|f| f.ident.as_ref()).map(ToString::to_string).collect()
        }
        Fields::Unnamed(unnamed) => {
            let public = unnamed.unnamed.iter().filter(|f| is_public(&f.vis));
            public.map(|f| text(&f.ty)).collect()
        }
        Fields::Unit => Vec::new(),
    };
    if public.is_empty() {
        return String::new();
    }
    format!("{{ {}{} }}", public.join(", "), if open { ", .." } else { "" })
}

fn variant(variant: &syn::Variant) -> String {
    let inner = |fields: &Punctuated<syn::Field, syn::Token![,]>| {
        let told = fields.iter().map(|f| f.ident.as_ref().map_or_else(|| text(&f.ty), ToString::to_string));
        told.collect::<Vec<_>>().join(", ")
    };
    match &variant.fields {
        Fields::Unit => variant.ident.to_string(),
        Fields::Named(fields) => format!("{} {{ {} }}", variant.ident, inner(&fields.named)),
        Fields::Unnamed(fields) => format!("{}({})", variant.ident, inner(&fields.unnamed)),
    }
}

fn generics(generics: &Generics) -> String {
    let names: Vec<String> = generics
        .params
        .iter()
        .map(|p| match p {
            GenericParam::Type(t) => t.ident.to_string(),
            GenericParam::Lifetime(l) => text(&l.lifetime),
            GenericParam::Const(c) => c.ident.to_string(),
        })
        .collect();
    if names.is_empty() { String::new() } else { format!("<{}>", names.join(", ")) }
}

fn is_open(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|a| a.path().is_ident("non_exhaustive"))
}

/// Code as one writes it.
fn text(code: &impl ToTokens) -> String {
    let mut out = String::new();
    write(&mut out, code.to_token_stream());
    out
}

fn write(out: &mut String, tokens: TokenStream) {
    let mut last_word = false;
    let mut last = ' ';
    for tree in tokens {
        match tree {
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                if last_word
                    || matches!(last, ',' | ';' | '+')
                    || out.ends_with("->")
                    || out.ends_with(": ") && last == ':'
                {
                    let spaced = out.ends_with(' ');
                    if !spaced {
                        out.push(' ');
                    }
                }
                out.push_str(&tree.to_string());
                (last_word, last) = (true, 'a');
            }
            TokenTree::Punct(punct) => {
                let mark = punct.as_char();
                match mark {
                    '+' | '=' => *out += if out.ends_with(' ') { "" } else { " " },
                    '-' if punct.spacing() == Spacing::Joint => *out += " ",
                    '\'' | '&' if matches!(last, ',' | '+') && !out.ends_with(' ') => out.push(' '),
                    '\'' | '&' if last_word => out.push(' '),
                    _ => {}
                }
                out.push(mark);
                if matches!(mark, '+' | '=') && punct.spacing() == Spacing::Alone {
                    out.push(' ');
                }
                (last_word, last) = (false, mark);
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                if matches!(last, ',' | ';') || out.ends_with("->") {
                    out.push(' ');
                }
                *out += open;
                write(out, group.stream());
                *out += close;
                (last_word, last) = (true, ')');
            }
        }
    }
}

/// Entries one after the other, in lines that are not too long.
fn wrap(page: &mut String, head: &str, parts: &[String], between: &str) {
    let mut line = format!("{head}{}", parts.join(between));
    let mut room = COLUMNS;
    while line.len() > room {
        // After an entry if that does not waste half a line, else where a reader expects it.
        let near = line.get(..room).unwrap_or_default();
        let entry = near.rfind("; ").filter(|at| *at > room / 2);
        let Some(at) =
            entry.or_else(|| near.rfind(", ")).or_else(|| near.rfind(": ")).or_else(|| near.rfind(' '))
        else {
            break;
        };
        let (now, later) = line.split_at(at + 1);
        let _ = write!(page, "{now}\n    ");
        line = later.trim_start().to_owned();
        room = COLUMNS - 4;
    }
    let _ = writeln!(page, "{}", line.trim_end());
}

/// Adds an entry, behind the one before it where both are short.
fn add(page: &mut String, entry: &str) {
    let alone = entry.trim_end();
    let before = page.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default();
    let is_entry = !before.is_empty() && !before.starts_with([' ', '`']) && !alone.contains('\n');
    if is_entry && before.len() + SIDE_BY_SIDE.len() + alone.len() <= COLUMNS {
        page.truncate(page.trim_end_matches('\n').len());
        *page += SIDE_BY_SIDE;
    }
    *page += entry;
}

/// The page says what the sources say, and no module is longer than a screen.
pub(crate) fn api(tree: &Tree) -> Vec<Finding> {
    let finding = |line, what: String| vec![Finding { file: PAGE.into(), line, rule: "api", what }];
    let Some(_) = tree.files.get("src/lib.rs") else { return Vec::new() };
    let api = match Api::read(tree) {
        Ok(api) => api,
        Err(e) => return finding(1, format!("cannot be made: a source is not Rust: {e}")),
    };
    let page = page(&api);
    let mut found = Vec::new();
    let there = tree.files.get(PAGE).map_or("", String::as_str);
    if there != page {
        let what = format!("is not what the sources say; `{RENEW}` writes it:\n{}", difference(there, &page));
        found.extend(finding(1, what));
    }
    for (name, lines) in long(&page) {
        let what = format!(
            "{name} takes {lines} lines, and {MODULE_LINES} are a screen: what can go behind a handle or a module of its own?"
        );
        found.extend(finding(1, what));
    }
    for name in api.twice() {
        found.extend(finding(1, format!("{name} is the name of two public types")));
    }
    for name in uneven(&api) {
        found.extend(finding(1, format!("{name} has not the arguments of a blocking form")));
    }
    found
}

fn long(page: &str) -> Vec<(String, usize)> {
    let sections = page.split("\n## ").skip(1);
    let sized = sections
        .map(|section| (section.lines().next().unwrap_or_default().to_owned(), section.lines().count()));
    sized.filter(|(_, lines)| *lines > MODULE_LINES).collect()
}

/// Lines that only one of them has, in order.
pub(crate) fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let ahead = |lines: &[&str], at: usize, line: &str| {
        lines.get(at..).and_then(|rest| rest.iter().position(|l| *l == line))
    };
    let (mut a, mut b) = (start, start);
    let mut out = String::new();
    while a < old.len() || b < new.len() {
        match (old.get(a), new.get(b)) {
            (Some(left), Some(right)) if left == right => (a, b) = (a + 1, b + 1),
            (Some(left), Some(right)) => match (ahead(&new, b, left), ahead(&old, a, right)) {
                (Some(more), fewer) if fewer.is_none_or(|fewer| more <= fewer) => {
                    let _ = writeln!(out, "+ {right}");
                    b += 1;
                }
                _ => {
                    let _ = writeln!(out, "- {left}");
                    a += 1;
                }
            },
            (Some(left), None) => {
                let _ = writeln!(out, "- {left}");
                a += 1;
            }
            (None, Some(right)) => {
                let _ = writeln!(out, "+ {right}");
                b += 1;
            }
            (None, None) => {}
        }
    }
    out
}
