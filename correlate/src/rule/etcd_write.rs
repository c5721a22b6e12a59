//! w
#[derive(Default)]
pub struct EtcdWrite;
impl super::Rule for EtcdWrite {
    fn observe(&mut self, _: crate::world::Seen<'_>, _: &mut crate::world::World) {}
    fn tick(&mut self, _: &mut crate::world::World) {}
    fn finish(&mut self, _: &mut crate::world::World) {}
}
