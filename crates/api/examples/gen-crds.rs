//! Prints the CustomResourceDefinition as `crds/` holds it.

fn main() {
    print!("{}", microapp_api::schema::crd_yaml());
}
