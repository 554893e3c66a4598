//! `#[derive(Module)]`: a struct of layers becomes a layer's worth of named parameters and buffers.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, Index, Member, parse_macro_input};

/// Implements `lazulite::nn::Module` by showing every field to the visitor under its name (under its
/// number in tuple structs; the field of the variant at hand in enums). Fields marked
/// `#[module(skip)]` are passed over.
#[proc_macro_derive(Module, attributes(module))]
pub fn module(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let body = match &input.data {
        Data::Struct(data) => {
            let shown = shown(&data.fields)?.into_iter().map(|part| {
                let Part { member, name, span } = part;
                quote_spanned! { span => visitor.part(#name, &self.#member); }
            });
            quote! { #(#shown)* }
        }
        Data::Enum(data) => {
            let mut arms = Vec::new();
            for variant in &data.variants {
                let variant_name = &variant.ident;
                let (mut patterns, mut visits) = (Vec::new(), Vec::new());
                for (i, part) in shown(&variant.fields)?.into_iter().enumerate() {
                    let Part { member, name, span } = part;
                    let bound = Ident::new(&format!("part{i}"), variant.span());
                    patterns.push(quote! { #member: #bound });
                    visits.push(quote_spanned! { span => visitor.part(#name, #bound); });
                }
                arms.push(quote! { Self::#variant_name { #(#patterns,)* .. } => { #(#visits)* } });
            }
            match arms.is_empty() {
                true => quote! {},
                false => quote! { match self { #(#arms)* } },
            }
        }
        Data::Union(_) => {
            let message = "a union does not say which of its fields holds a module";
            return Err(Error::new(input.ident.span(), message));
        }
    };
    let name = &input.ident;
    let (generics, types, conditions) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::lazulite::nn::Module for #name #types #conditions {
            fn visit(&self, visitor: &mut ::lazulite::nn::Visitor<'_>) {
                let _ = &visitor;
                #body
            }
        }
    })
}

/// A field that is shown.
struct Part {
    member: Member,
    name: String,
    /// Where its type stands, for what the compiler says about types that are no modules.
    span: Span,
}

/// The fields that are not skipped.
fn shown(fields: &Fields) -> syn::Result<Vec<Part>> {
    let mut shown = Vec::new();
    for (number, field) in fields.iter().enumerate() {
        let mut skipped = false;
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("module")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("skip") {
                    skipped = true;
                    return Ok(());
                }
                Err(meta.error("`skip` is the only option here"))
            })?;
        }
        if skipped {
            continue;
        }
        let (member, name) = match &field.ident {
            Some(name) => (Member::Named(name.clone()), name.to_string()),
            None => (Member::Unnamed(Index::from(number)), number.to_string()),
        };
        // As if written by the derive, so that it sees the derive's names; found where the type stands.
        let span = Span::call_site().located_at(field.ty.span());
        shown.push(Part { member, name, span });
    }
    Ok(shown)
}
